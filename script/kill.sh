#!/bin/sh
# Kills an issuing authority so many times on each database, 2500 by default,
# and looks each time whether anything was lost or counted twice.
set -eu
cd "$(dirname "$0")/.."
EIDOS_TEST_KILLS="${1:-2500}" go test -count=1 -timeout 24h -run '^TestKilled' -v ./issuer
