#!/usr/bin/env bash
# Everything a change must pass beside the tests: format, lints, docs, and the commands that the README shows.
set -euo pipefail
cd "$(dirname "$0")/.."

step() { printf '\n== %s\n' "$*"; }

step "format"
cargo fmt --all --check

step "lints"
cargo clippy --workspace --all-targets -- -D warnings

step "fuzz targets"
# They are a workspace of their own, for a nightly compiler; that they compile the stable one can tell.
# What they depend on is checked once for both.
cargo check --quiet --manifest-path fuzz/Cargo.toml --target-dir target

step "docs"
RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --quiet

step "licences"
if command -v cargo-deny >/dev/null; then
  cargo deny --offline check licenses bans sources
else
  echo "skipped: cargo-deny is not installed (cargo install cargo-deny)"
fi

step "the same decisions in every build"
# The tests have checked the digest once; the builds of debugging and of release must come to the same.
# With the features of the whole workspace, as what the other steps have built is built with them.
cargo test --quiet --profile dev --workspace --test decisions
cargo test --quiet --release --workspace --test decisions

step "instructions of the hot paths"
bash scripts/instructions.sh

step "scripts"
for script in scripts/*.sh .ci/run; do bash -n "$script"; done
if command -v python3 >/dev/null; then
  python3 -m compileall -q scripts
  PYTHONPATH=scripts/bench python3 -m unittest discover -q -s scripts/bench
fi

step "README commands"
bash scripts/readme-commands.sh
