#!/bin/sh
# Installs what the tests need besides Go, as far as it is missing: PostgreSQL
# from Debian's packages when we are root, a C compiler for the race detector
# when called with "race", and the npm packages of interop/. What cannot be
# installed is said; the tests that need it then skip and say so too.
set -eu
cd "$(dirname "$0")/.."

say() { echo "install-test-deps: $*" >&2; }

missing=
ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || missing="$missing postgresql"
if [ "${1:-}" = race ]; then
	command -v gcc >/dev/null 2>&1 || missing="$missing gcc libc6-dev"
fi

if [ -n "$missing" ]; then
	if [ "$(id -u)" != 0 ]; then
		say "not root, so not installed:$missing"
	elif ! command -v apt-get >/dev/null 2>&1; then
		say "no apt-get here, so not installed:$missing"
	else
		say "installing$missing"
		log=$(mktemp)
		# shellcheck disable=SC2086 # several packages
		if ! { apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
			apt-get install -y -qq --no-install-recommends $missing; } >"$log" 2>&1; then
			tail -n 20 "$log" >&2
			say "apt-get failed, so not installed:$missing"
		fi
		rm -f "$log"
	fi
fi

for lock in interop/*/package-lock.json; do
	[ -e "$lock" ] || continue
	dir=$(dirname "$lock")
	# Up to date when npm's own record in node_modules is newer than the lock.
	if [ "$dir/node_modules/.package-lock.json" -nt "$lock" ]; then
		continue
	fi
	if ! command -v npm >/dev/null 2>&1; then
		say "no npm here, so not installed: packages of $dir"
		continue
	fi
	say "npm ci in $dir"
	(cd "$dir" && npm ci --no-audit --no-fund --ignore-scripts --loglevel=error) ||
		say "npm failed, so not installed: packages of $dir"
done
