#!/usr/bin/env bash
# Runs one load through jostle and through other relays, in turn, and prints what each takes beside what is wanted:
#   scripts/bench.sh [ROW…] [--rounds N] [--json FILE] [--markdown] [--jostle NAME=PATH]   (--list names the rows, --help the rest)
#   scripts/bench.sh size [CURVE…]                                                          what grows with size
# It works in namespaces of its own, of the network and of processes: nothing else is touched, and whatever it started ends with it.
# JOSTLE=PATH measures a program that is there and builds only the load; PEERS=no installs no other relays.
set -euo pipefail
cd "$(dirname "$0")/.."

cargo build --release --quiet -p jostle-bench
if [ -z "${JOSTLE:-}" ]; then
  cargo build --release --quiet -p jostle-bins --bin jostle
  JOSTLE=target/release/jostle
fi

# Debian's relays, installed and not started; elsewhere those that are there are measured.
export PATH="$PATH:/usr/sbin"
if [ "${PEERS:-yes}" = yes ]; then
  missing=()
  for entry in nginx:nginx haproxy:haproxy socat:socat rinetd:rinetd ip:iproute2; do
    command -v "${entry%%:*}" >/dev/null || missing+=("${entry##*:}")
  done
  [ -e /usr/lib/nginx/modules/ngx_stream_module.so ] || missing+=(libnginx-mod-stream)
  if [ ${#missing[@]} -gt 0 ] && [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
    if [ ! -e /usr/sbin/policy-rc.d ]; then
      trap 'rm -f /usr/sbin/policy-rc.d' EXIT
      printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d && chmod +x /usr/sbin/policy-rc.d
    fi
    { apt-get update -qq &&
      DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"; } >/dev/null ||
      echo "not installed, so not measured: ${missing[*]}" >&2
  fi
fi

# As an ordinary user, root of a namespace of users.
user=()
[ "$(id -u)" -eq 0 ] || user=(--user --map-root-user)
JOSTLE=$(realpath "$JOSTLE") LOAD=$PWD/target/release/jostle-load \
  unshare "${user[@]}" --net --pid --fork --kill-child --mount --mount-proc python3 scripts/bench "$@"
