#!/usr/bin/env bash
# Runs a sweep in shards with GNU parallel: on this machine, or on all that ssh reaches.
#
#   scripts/sweep-parallel.sh SWEEP.json FOLDER SHARDS [OPTIONS OF parallel]
#   scripts/sweep-parallel.sh configs/sweeps/tcp-vs-udp.json rows 8
#   scripts/sweep-parallel.sh configs/sweeps/tcp-vs-udp.json rows 64 --sshlogin :,ann@north,ann@south
#
# Each shard is one command that anyone can run again: it skips what is done, and its file has its name when it is whole. So after an
# interruption the same line goes on, and merging is cat. A shard of virtual cells takes all cores of its machine, and cells on real
# sockets must not share one: therefore one shard at a time per machine, unless --jobs says otherwise.
# Other machines need jostle in their PATH; the sweep is sent to them and their rows come back.
set -euo pipefail
jostle=${JOSTLE:-jostle}
[ $# -ge 3 ] || { sed -n '2,7s/^# \{0,1\}//p' "$0" >&2; exit 2; }
sweep=$1 folder=$2 shards=$3
shift 3

mkdir -p "$folder"
cmp -s -- "$sweep" "$folder/sweep.json" || [ ! -e "$folder/sweep.json" ] ||
  { echo "$folder holds rows of another sweep, or of this one before it was changed: name another folder" >&2; exit 2; }
cp -- "$sweep" "$folder/sweep.json"
cd "$folder"
away=()
case " $* " in *" --sshlogin"* | *" -S"*) away=(--workdir ... --transferfile sweep.json --return "shard-{}-of-$shards.jsonl" --cleanup) ;; esac

# What is done need not be sent anywhere.
for shard in $(seq "$shards"); do
  [ -e "shard-$shard-of-$shards.jsonl" ] || echo "$shard"
done | parallel --jobs 1 --joblog joblog.tsv --retries 3 "${away[@]}" "$@" \
  "$jostle" sweep sweep.json --shard "{}/$shards" -o "shard-{}-of-$shards.jsonl"

cat shard-*-of-"$shards".jsonl >rows.jsonl
echo "$folder/rows.jsonl: $(wc -l <rows.jsonl) rows" >&2
