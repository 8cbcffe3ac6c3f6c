#!/usr/bin/env bash
# Installs the programs that some tests put the proxy in front of. Without them those tests skip themselves, and say so.
# Debian and Ubuntu, as root; elsewhere it only says what is missing.
set -uo pipefail
programs=(iperf3:iperf3 redis-server:redis-server redis-benchmark:redis-tools curl:curl python3:python3 nc:netcat-openbsd
  ffmpeg:ffmpeg chromium:chromium wrk:wrk ab:apache2-utils dnsperf:dnsperf parallel:parallel tshark:tshark tftp:tftp-hpa in.tftpd:tftpd-hpa
  node:nodejs npm:npm git:git ssh:openssh-client sshd:openssh-server psql:postgresql-client
  pg_ctlcluster:postgresql valgrind:valgrind)
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

# HTTP/3 for Python, the schemas of Kubernetes and of OpenAPI, Prometheus's parsers and a client of Toxiproxy, in an environment of its
# own under target/. Without a package index the tests that need them skip.
environment="$(dirname "$0")/../target/python"
packages=('aioquic>=1.2,<2' 'kubernetes-validate>=1.31' 'openapi-spec-validator>=0.7,<1' 'prometheus-client>=0.22,<1' 'toxiproxy-python==0.1.1')
if ! "$environment/bin/python" -c 'import aioquic, kubernetes_validate, openapi_spec_validator, prometheus_client, toxiproxy' 2>/dev/null; then
  { python3 -m venv "$environment" && "$environment/bin/pip" install --quiet --disable-pip-version-check "${packages[@]}"; } ||
    echo "not installed, so the tests that need them will skip: ${packages[*]}" >&2
fi

# What looks at the panel's page for people who cannot see it or use no mouse, Toxiproxy's client for Node, and Playwright without
# browsers of its own. All at once: each installation removes what it does not name.
node="$(dirname "$0")/../target/node"
if [ ! -e "$node/node_modules/axe-core/axe.min.js" ] || [ ! -e "$node/node_modules/toxiproxy-node-client" ] ||
  [ ! -e "$node/node_modules/playwright-core/index.mjs" ]; then
  { command -v npm >/dev/null && mkdir -p "$node" &&
    npm install --prefix "$node" --no-save --no-audit --no-fund --silent 'axe-core@^4.10' toxiproxy-node-client@4.1.0 \
      'playwright-core@^1.50'; } ||
    echo "not installed, so the tests that need them will skip: axe-core toxiproxy-node-client playwright-core" >&2
fi

# The tests of Toxiproxy's client for Rust, as they are published.
"$(dirname "$0")/toxiproxy-rust-tests.sh" ||
  echo "not built, so the tests that need it will skip: the tests of toxiproxy_rust" >&2
exit 0
