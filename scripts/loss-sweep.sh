#!/usr/bin/env bash
# How does loss change what a protocol can do? One trial per protocol, loss rate and repetition, and a picture at the end.
#
#   scripts/loss-sweep.sh [ROWS.jsonl]
#   PROTOCOLS="saw" LOSSES="0% 10% 20%" REPEATS=20 TRIAL="--delay 50ms --size 64KiB" scripts/loss-sweep.sh
#   TRIAL="--virtual --delay 10ms" scripts/loss-sweep.sh      # the same in simulated time: no waiting
#
# A trial is a client, a server and the proxy between them, over real sockets. Each prints one line of JSON. The seed is the number of
# the repetition: all protocols and all loss rates meet the same chances, so what 1 % loses, 5 % loses too.
set -euo pipefail
jostle=${JOSTLE:-jostle}
rows=${1:-loss-sweep.jsonl}
read -ra protocols <<<"${PROTOCOLS:-tcp udp saw}"
read -ra losses <<<"${LOSSES:-0% 1% 2% 5% 10%}"
read -ra trial <<<"${TRIAL:---delay 5ms --size 256KiB}"
repeats=${REPEATS:-10}

: >"$rows"
for repeat in $(seq "$repeats"); do
  for loss in "${losses[@]}"; do
    for protocol in "${protocols[@]}"; do
      # A failed trial is a row like any other: it says why.
      "$jostle" trial --protocol "$protocol" --loss "$loss" --seed "$repeat" --repeat "$repeat" "${trial[@]}" >>"$rows" ||
        [ $? -eq 1 ]
    done
  done
done

"$jostle" report "$rows" --format md
"$jostle" report "$rows" -o "${rows%.jsonl}.html"
