#!/bin/sh
# Runs every fuzz target for the time given, 60s by default, one after the other.
set -eu
cd "$(dirname "$0")/.."
for dir in $(grep -rl --include='*_test.go' '^func Fuzz' . | grep -vE '/(testdata|node_modules)/' | xargs -rn1 dirname | sort -u); do
	for target in $(sed -nE 's/^func (Fuzz[A-Za-z0-9_]*)\(.*/\1/p' "$dir"/*_test.go); do
		echo "fuzz $dir $target"
		go test -run "^$" -fuzz "^$target\$" -fuzztime "${1:-60s}" -fuzzminimizetime 20x "$dir"
	done
done
