#!/usr/bin/env bash
# Runs the commands that the README shows: each ```sh block is a script, run in an empty folder with the programs installed.
# `cargo test --workspace` is left out: whoever runs this has just run it.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export CARGO_INSTALL_ROOT="$work/installed" PATH="$work/installed/bin:$PATH"

blocks=$(awk -v dir="$work" '
  /^```sh$/ { n++; file = sprintf("%s/block-%02d.sh", dir, n); inside = 1; print "set -euo pipefail" > file; next }
  /^```/    { if (inside) close(file); inside = 0 }
  inside && $0 !~ /^cargo test --workspace/ { print > file }
  END { print n + 0 }' "$root/README.md")
[ "$blocks" -ge 4 ] || { echo "only $blocks blocks found in README.md" >&2; exit 1; }

for block in "$work"/block-*.sh; do
  echo "-- $(basename "$block")"
  sed 1d "$block"
  # Cargo commands belong into the project, all others into a folder of their own.
  if grep -q '^cargo' "$block"; then folder=$root; else folder=$(mktemp -d -p "$work"); fi
  (cd "$folder" && timeout 600 bash "$block" </dev/null)
done
