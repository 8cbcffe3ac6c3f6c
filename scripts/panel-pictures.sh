#!/usr/bin/env bash
# Draws the pictures of docs/panel.md anew, as the panel's test sees it. Needs Chromium (scripts/install-test-programs.sh).
set -euo pipefail
cd "$(dirname "$0")/.."
JOSTLE_PANEL_PICTURES="$PWD/docs/pictures" cargo test -p jostle-bins --test panel
