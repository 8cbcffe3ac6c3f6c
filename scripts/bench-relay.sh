#!/usr/bin/env bash
# What the relays of jostle cost on loopback, beside a direct run: packets/s and MB/s as iperf3 sees them, and the proxy's processor time
# per packet and per KiB. Other relays run too if they are installed. Usage: scripts/bench-relay.sh [SECONDS]
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
iperf3 -s -p "$server_port" >/dev/null &
background+=($!)
sleep 0.5

# Processor time of a process and its children so far, in nanoseconds.
processor_ns() {
  local total=0 pid task
  for pid in "$1" $(pgrep -P "$1" || true); do
    for task in /proc/"$pid"/task/*/schedstat; do
      total=$((total + $(cut -d' ' -f1 "$task")))
    done
  done
  echo "$total"
}

# One run of iperf3 against port $2, whose relay is process $3 (0: none); the other arguments go to iperf3.
run() {
  local name=$1 port=$2 pid=$3 before=0 after=0
  shift 3
  [ "$pid" = 0 ] || before=$(processor_ns "$pid")
  iperf3 -J -c 127.0.0.1 -p "$port" -t "$seconds" "$@" >"$scratch/report.json" || { echo "$name: failed"; return; }
  [ "$pid" = 0 ] || after=$(processor_ns "$pid")
  python3 - "$name" $((after - before)) "$scratch/report.json" <<'PYTHON'
import json, sys
name, nanos, report = sys.argv[1], int(sys.argv[2]), json.load(open(sys.argv[3]))
end = report["end"]
if "sum" in end and "packets" in end["sum"]:
    total = end["sum"]
    arrived = total["packets"] - total["lost_packets"]
    cost = f"{nanos / arrived:8.0f} ns/packet" if nanos else ""
    print(f"{name:34} {arrived / total['seconds']:10.0f} packets/s {total['lost_percent']:6.2f} % lost {cost}")
else:
    total = end["sum_received"]
    cost = f"{nanos / (total['bytes'] / 1024):8.0f} ns/KiB" if nanos else ""
    print(f"{name:34} {total['bytes'] / total['seconds'] / 1e6:10.0f} MB/s {cost}")
PYTHON
}

# Starts a relay, runs TCP and UDP through it, and ends it.
relay() {
  local name=$1 kinds=$2 pid
  shift 2
  "$@" >/dev/null 2>&1 &
  pid=$!
  background+=("$pid")
  sleep 0.5
  for kind in $kinds; do
    case $kind in
      tcp) run "$name, TCP" "$proxy_port" "$pid" ;;
      udp) run "$name, UDP 1200 B" "$proxy_port" "$pid" -u -b 0 -l 1200 ;;
    esac
  done
  kill "$pid" 2>/dev/null || true
  wait "$pid" 2>/dev/null || true
}

jostle=target/release/jostle
route=both://127.0.0.1:$proxy_port=127.0.0.1:$server_port
run "direct, TCP" "$server_port" 0
run "direct, UDP 1200 B" "$server_port" 0 -u -b 0 -l 1200
relay "jostle" "tcp udp" "$jostle" proxy "$route"
relay "jostle --portable" "tcp udp" "$jostle" proxy "$route" --portable
relay "jostle --drop 1%" "udp" "$jostle" proxy "$route" --up-drop 1%
relay "jostle --delay 1ms" "udp" "$jostle" proxy "$route" --up-delay 1ms
relay "jostle --delay 1ms (model)" "tcp" "$jostle" proxy "$route" --delay 1ms
relay "jostle --delay 1ms (raw, read)" "tcp" "$jostle" proxy "$route" --delay 1ms --tcp raw --unit read
if command -v socat >/dev/null; then
  relay "socat -b65536" "tcp" socat -b65536 "TCP-LISTEN:$proxy_port,fork,reuseaddr" "TCP:127.0.0.1:$server_port"
fi
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
  relay "haproxy" "tcp" haproxy -db -f "$scratch/haproxy.cfg"
fi
