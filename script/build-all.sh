#!/bin/sh
# Builds everything for each system that eidos runs on, and for the browser
# what runs there. Nothing is kept.
set -eu
cd "$(dirname "$0")/.."
export CGO_ENABLED=0
for target in linux/arm64 darwin/arm64 windows/amd64; do
	echo "build $target"
	GOOS=${target%/*} GOARCH=${target#*/} go build ./...
done
for core in format protocol assure statuslist keyring wallet verifier/core; do
	[ -d "$core" ] || continue
	case $core in
	wallet) pkg=./wallet ;; # its cores; what is below keeps files and serves pages
	*) pkg=./$core/... ;;
	esac
	# A folder without Go files yet is not an error.
	# Packages for tests alone stay here.
	all=$(GOOS=js GOARCH=wasm go list -e -f '{{if .GoFiles}}{{.ImportPath}}{{end}}' "$pkg" | grep -v 'test$') || continue
	echo "build js/wasm $core"
	# shellcheck disable=SC2086 # several packages
	GOOS=js GOARCH=wasm go build $all
done
