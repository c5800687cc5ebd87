# The two targets that people need are test and ci; the others are its parts.

STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.8.2

.PHONY: build test ci deps fmt vet staticcheck race cross bench fuzz

build: ## the binary
	CGO_ENABLED=0 go build -trimpath -o eidos ./cmd/eidos

test: deps ## installs what the tests need, and runs them all
	go test ./...

ci: fmt vet staticcheck race cross ## what must hold besides the tests

deps:
	@script/install-test-deps.sh

fmt:
	@bad=$$(gofmt -l .); if [ -n "$$bad" ]; then echo "gofmt would change:" $$bad; exit 1; fi

vet:
	go vet ./...

staticcheck:
	go run $(STATICCHECK) ./...

race:
	@script/install-test-deps.sh race
	script/race.sh

cross:
	script/build-all.sh

bench: ## the figures of docs/performance.md
	go test -run '^$$' -bench . -benchmem ./...

FUZZTIME = 60s
fuzz: ## every fuzz target for FUZZTIME
	@script/fuzz.sh $(FUZZTIME)
