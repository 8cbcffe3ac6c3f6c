#!/usr/bin/env bash
# Builds the tests that toxiproxy_rust, Toxiproxy's client for Rust, is published with, as target/toxiproxy_rust/tests. They are not
# changed, and speak to an API on 127.0.0.1:8474. Needs OpenSSL's headers and pkg-config.
set -euo pipefail
folder="$(cd "$(dirname "$0")/.." && mkdir -p target/toxiproxy_rust/fetch && cd target/toxiproxy_rust && pwd)"
[ ! -x "$folder/tests" ] || exit 0
pkg-config --exists openssl || { echo "OpenSSL's headers are missing: libssl-dev pkg-config" >&2; exit 1; }
cd "$folder/fetch"
# A package of its own that depends on the client, so that cargo fetches its source.
printf '[workspace]\n[package]\nname = "fetch"\nversion = "0.0.0"\nedition = "2021"\n[lib]\npath = "lib.rs"\n[dependencies]\ntoxiproxy_rust = "=0.1.6"\n' >Cargo.toml
: >lib.rs
source=$(cargo metadata --quiet --format-version 1 | python3 -c '
import json, os, sys
print(next(os.path.dirname(one["manifest_path"]) for one in json.load(sys.stdin)["packages"] if one["name"] == "toxiproxy_rust"))')
rm -rf "$folder/source" && cp -r "$source" "$folder/source" && chmod -R u+w "$folder/source"
cd "$folder/source"
printf '\n[workspace]\n' >>Cargo.toml
# It forbids all warnings, and compilers have learnt new ones since.
built=$(RUSTFLAGS="--cap-lints allow" CARGO_TARGET_DIR="$folder/target" CARGO_PROFILE_TEST_DEBUG=0 \
  cargo test --quiet --no-run --test toxiproxy_rust --message-format json | python3 -c '
import json, sys
for line in sys.stdin:
    one = json.loads(line)
    if one.get("executable") and one["target"]["name"] == "toxiproxy_rust":
        print(one["executable"])')
cp "$built" "$folder/tests"
rm -rf "$folder/target" "$folder/source" "$folder/fetch"
