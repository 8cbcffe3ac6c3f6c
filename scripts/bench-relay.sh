#!/usr/bin/env bash
# What the relays of jostle cost on loopback, beside a direct run: packets/s and MB/s as iperf3 sees them, and the proxy's processor time
# per packet and per KiB. HAProxy runs too if it is installed. Usage: scripts/bench-relay.sh [SECONDS]
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-3}
server_port=15201
proxy_port=15202

command -v iperf3 >/dev/null || { echo "iperf3 is not installed" >&2; exit 1; }
cargo build --release --quiet --bin jostle
scratch=$(mktemp -d)
background=()
trap 'kill "${background[@]}" 2>/dev/null || true; rm -rf "$scratch"' EXIT
iperf3 -s -p "$server_port" >/dev/null 2>&1 &
background+=($!)
sleep 0.5

# Processor time of a process so far, in nanoseconds.
processor_ns() {
  local total=0 task
  for task in /proc/"$1"/task/*/schedstat; do
    total=$((total + $(cut -d' ' -f1 "$task")))
  done
  echo "$total"
}

# iperf3 over $1 (tcp, udp) against port $2; its report goes to a file.
measure() {
  local options=()
  [ "$1" = tcp ] || options=(-u -b 0 -l 1200)
  iperf3 -J -c 127.0.0.1 -p "$2" -t "$seconds" "${options[@]}" >"$scratch/report.json"
}

# One line about the last report: $1 is the name, $2 the relay's processor time in nanoseconds, or 0.
# The cost per packet is that of those relayed, as jostle counts them: the receiver is slower than the relay and loses some.
line() {
  python3 - "$1" "$2" "$scratch/report.json" "$scratch/summary" "$seconds" <<'PYTHON'
import json, sys
name, nanos, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[5])
end = json.load(open(sys.argv[3]))["end"]
if "packets" in end.get("sum", {}):
    arrived = end["sum"]["packets"] - end["sum"]["lost_packets"]
    text = f"{arrived / seconds:9.0f} packets/s arrive"
    try:
        links = [json.loads(line) for line in open(sys.argv[4])]
        relayed = next(l for l in links if l.get("protocol") == "udp" and l.get("direction") == "up")["delivered"]
        text += f", {relayed / seconds:9.0f}/s relayed, {nanos / relayed:6.0f} ns each"
    except (OSError, ValueError, StopIteration):
        pass
else:
    total = end["sum_received"]
    text = f"{total['bytes'] / total['seconds'] / 1e6:9.0f} MB/s"
    if nanos:
        text += f", {nanos / (total['bytes'] / 1024):6.0f} ns/KiB"
print(f"{name:34} {text}")
PYTHON
}

# Starts a relay, runs $2 (tcp, udp) through it, and ends it.
relay() {
  local name=$1 kind=$2 pid before after
  shift 2
  "$@" >"$scratch/summary" 2>/dev/null &
  pid=$!
  background+=("$pid")
  sleep 0.5
  before=$(processor_ns "$pid")
  measure "$kind" "$proxy_port" || { echo "$name: failed"; return; }
  after=$(processor_ns "$pid")
  kill "$pid" 2>/dev/null || true
  wait "$pid" 2>/dev/null || true
  line "$kind: $name" $((after - before))
}

jostle=target/release/jostle
route=both://127.0.0.1:$proxy_port=127.0.0.1:$server_port
for kind in tcp udp; do
  rm -f "$scratch/summary"
  measure "$kind" "$server_port"
  line "$kind: direct" 0
  relay "jostle" "$kind" "$jostle" proxy --json "$route"
  relay "jostle --portable" "$kind" "$jostle" proxy --json "$route" --portable
done
relay "jostle --drop 1%" udp "$jostle" proxy --json "$route" --up-drop 1%
relay "jostle --delay 1ms" udp "$jostle" proxy --json "$route" --up-delay 1ms
relay "jostle --delay 1ms, model" tcp "$jostle" proxy --json "$route" --delay 1ms
relay "jostle --delay 1ms, raw read" tcp "$jostle" proxy --json "$route" --delay 1ms --tcp raw --unit read
if command -v haproxy >/dev/null; then
  cat >"$scratch/haproxy.cfg" <<CONFIG
defaults
  mode tcp
  timeout connect 5s
  timeout client 1m
  timeout server 1m
listen bench
  bind 127.0.0.1:$proxy_port
  server iperf3 127.0.0.1:$server_port
CONFIG
  relay "haproxy" tcp haproxy -db -f "$scratch/haproxy.cfg"
fi
