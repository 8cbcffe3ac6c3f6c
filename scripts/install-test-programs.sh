#!/usr/bin/env bash
# Installs the programs that some tests put the proxy in front of. Without them those tests skip themselves, and say so.
# Debian and Ubuntu, as root; elsewhere it only says what is missing.
set -uo pipefail
programs=(iperf3:iperf3 redis-server:redis-server redis-benchmark:redis-tools curl:curl python3:python3 nc:netcat-openbsd
  ffmpeg:ffmpeg chromium:chromium wrk:wrk ab:apache2-utils dnsperf:dnsperf parallel:parallel tshark:tshark tftp:tftp-hpa in.tftpd:tftpd-hpa)
missing=()
for entry in "${programs[@]}"; do
  PATH="$PATH:/usr/sbin" command -v "${entry%%:*}" >/dev/null || missing+=("${entry##*:}")
done
if [ ${#missing[@]} -eq 0 ]; then
  :
elif [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
  # Servers are installed, not started: a test starts its own on a port of its own.
  if [ ! -e /usr/sbin/policy-rc.d ]; then
    trap 'rm -f /usr/sbin/policy-rc.d' EXIT
    printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d && chmod +x /usr/sbin/policy-rc.d
  fi
  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
else
  echo "not installed, so the tests that need them will skip: ${missing[*]}" >&2
fi

# HTTP/3 for Python and the schema of Kubernetes, in an environment of its own under target/. Without a package index the tests that
# need them skip.
environment="$(dirname "$0")/../target/python"
if ! "$environment/bin/python" -c 'import aioquic, kubernetes_validate' 2>/dev/null; then
  { python3 -m venv "$environment" &&
    "$environment/bin/pip" install --quiet --disable-pip-version-check 'aioquic>=1.2,<2' 'kubernetes-validate>=1.31'; } ||
    echo "not installed, so the tests that need them will skip: aioquic kubernetes-validate" >&2
fi
exit 0
