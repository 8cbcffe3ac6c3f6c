#!/usr/bin/env bash
# Runs the commands that the README and the lab manual show: each ```sh block is a script, run with the programs installed, all blocks of
# a document in one folder of their own. `cargo test --workspace` is left out: whoever runs this has just run it.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export CARGO_INSTALL_ROOT="$work/installed" PATH="$work/installed/bin:$PATH"

# run DOCUMENT LEAST: its blocks, of which there are at least so many.
run() {
  local name folder blocks
  name=$(basename "$1" .md)
  folder=$work/$name
  mkdir "$folder"
  ln -s "$root/configs" "$folder/configs"
  blocks=$(awk -v prefix="$work/$name-block" '
    /^```sh$/ { n++; file = sprintf("%s-%02d.sh", prefix, n); inside = 1; print "set -euo pipefail" > file; next }
    /^```/    { if (inside) close(file); inside = 0 }
    inside && $0 !~ /^cargo test --workspace/ { print > file }
    END { print n + 0 }' "$root/$1")
  [ "$blocks" -ge "$2" ] || { echo "only $blocks blocks found in $1" >&2; exit 1; }
  for block in "$work/$name"-block-*.sh; do
    echo "-- $(basename "$block")"
    sed 1d "$block"
    # Cargo commands belong into the project.
    if grep -q '^cargo' "$block"; then place=$root; else place=$folder; fi
    (cd "$place" && timeout 600 bash "$block" </dev/null)
  done
}

run README.md 4
run docs/sweeps.md 8

# What they show must be what is printed.
if command -v python3 >/dev/null; then
  python3 "$root/scripts/sample-outputs.py"
else
  echo "the sample outputs were not compared: python3 is not installed" >&2
fi
