#!/usr/bin/env bash
# Fuzzes whatever reads bytes from the network or from a file, one target after the other: scripts/fuzz.sh [SECONDS [TARGET…]]
# Needs a nightly compiler (rustup toolchain install nightly) and cargo-fuzz (cargo install cargo-fuzz). A finding ends it, and says how
# to repeat it.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=${1:-60}
[ $# -gt 0 ] && shift
command -v cargo-fuzz >/dev/null || { echo "cargo-fuzz is missing: cargo install cargo-fuzz" >&2; exit 1; }
[ $# -gt 0 ] || set -- $(cargo +nightly fuzz list)

# What the project ships is where the texts begin.
for kind in profile route; do mkdir -p "fuzz/corpus/$kind"; done
cp configs/profiles/*.json fuzz/corpus/profile/
cp configs/proxies/*.json fuzz/corpus/route/

for target in "$@"; do
  printf '\n== %s, %s s\n' "$target" "$seconds"
  options=(-max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1)
  case $target in
    profile | route) options+=(-dict=fuzz/words.dict) ;;
  esac
  cargo +nightly fuzz run "$target" -- "${options[@]}" 2>&1 | grep -Ev '^(#[0-9]|INFO|[[:space:]]+NEW_FUNC|[[:space:]]*#[0-9]+ 0x)' || exit 1
done
