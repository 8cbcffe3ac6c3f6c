#!/usr/bin/env bash
# Counts the instructions of the hot paths with valgrind and compares them with scripts/bench/instructions.json, ±3 %. Instructions do
# not depend on what else the machine does, but on the compiler: after a change of it, or of a path for a reason, `--bless` writes them.
set -euo pipefail
cd "$(dirname "$0")/.."

if ! command -v valgrind >/dev/null || ! command -v python3 >/dev/null; then
  echo "skipped: valgrind or python3 is not installed (scripts/install-test-programs.sh)"
  exit 0
fi
# In one call, as features are those of all packages of a call: others would be built twice.
cargo build --release --quiet -p jostle-bins -p jostle-bench
python3 scripts/bench/instructions.py "$@"
