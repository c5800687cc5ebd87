#!/bin/sh
# Runs the race detector on the packages that start goroutines, in their code
# or in their tests. The others cannot race.
set -eu
cd "$(dirname "$0")/.."
dirs=$(grep -rlE --include='*.go' '^[[:space:]]*go (func|[a-zA-Z_.]+\()|\.Go\(|httptest\.|\.RunParallel\(' . |
	grep -vE '/(testdata|node_modules)/' | xargs -rn1 dirname | sort -u)
[ -n "$dirs" ] || exit 0
# shellcheck disable=SC2086 # several packages
go test -race -short -timeout 20m $dirs
