#!/usr/bin/env bash
# Runs a sweep as a Slurm job array, waits for it and merges the rows.
#
#   scripts/sweep-slurm.sh SWEEP.json FOLDER SHARDS [OPTIONS OF sbatch]
#   scripts/sweep-slurm.sh configs/sweeps/stop-and-wait.json rows 16 --partition short
#   scripts/sweep-slurm.sh mine.json rows 16 --exclusive          # cells on real sockets: a node to themselves
#
# FOLDER is on a file system that all nodes share, and jostle in their PATH. Each element of the array runs one shard. The scheduler
# takes about a second per element, so there are never fewer than 20 cells in one. A shard that was ended half-way goes on where it
# stopped when Slurm starts it again (--requeue) or when this script is called again: what is done is skipped.
set -euo pipefail
jostle=${JOSTLE:-jostle}
[ $# -ge 3 ] || { sed -n '2,6s/^# \{0,1\}//p' "$0" >&2; exit 2; }
sweep=$1 folder=$2 shards=$3
shift 3
cells_min=20
# Cells of a shard that run at once: virtual ones may, on as many CPUs as --cpus-per-task asks for; those on real sockets must not.
jobs=${JOBS:-1}

cells=$("$jostle" sweep "$sweep" --plan | wc -l)
most=$((cells < cells_min ? 1 : cells / cells_min))
if [ "$shards" -gt "$most" ]; then
  echo "$shards shards of $cells cells are too small: $most" >&2
  shards=$most
fi
mkdir -p "$folder"
cmp -s -- "$sweep" "$folder/sweep.json" || [ ! -e "$folder/sweep.json" ] ||
  { echo "$folder holds rows of another sweep, or of this one before it was changed: name another folder" >&2; exit 2; }
cp -- "$sweep" "$folder/sweep.json"
cd "$folder"

# The shell of the node fills in its element of the array.
# shellcheck disable=SC2016
sbatch --job-name jostle-sweep --array "1-$shards" --requeue --wait --output 'slurm-%A_%a.log' "$@" --wrap \
  'exec "'"$jostle"'" sweep sweep.json --shard "$SLURM_ARRAY_TASK_ID/'"$shards"'" --jobs '"$jobs"' -o "shard-$SLURM_ARRAY_TASK_ID-of-'"$shards"'.jsonl"'

missing=$(for shard in $(seq "$shards"); do [ -e "shard-$shard-of-$shards.jsonl" ] || printf ' %s' "$shard"; done)
[ -z "$missing" ] || { echo "not whole yet: shards$missing; call this again" >&2; exit 1; }
cat shard-*-of-"$shards".jsonl >rows.jsonl
echo "$folder/rows.jsonl: $(wc -l <rows.jsonl) rows" >&2
