# Sallyport. `make` alone explains itself.

GO      ?= go
BIN     := bin/sallyport
TOPIC   ?= main
STATICCHECK_VERSION := v0.8.2

.DEFAULT_GOAL := help
.PHONY: help build run test unit real lint accept bench fuzz clean

help: ## what can be made
	@awk -F':.*## ' '/^[a-z]+:.*## /{printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## build bin/sallyport
	CGO_ENABLED=0 $(GO) build -trimpath -o $(BIN) ./cmd/sallyport

run: build ## show the main job: a lab, a node that boots behind the gateway, and ways out that fail
	$(BIN) lab

test: ## everything CI runs: lint, unit tests, and real clients and kernel in the lab
	./scripts/test

lint: ## gofmt, go vet, staticcheck
	./scripts/lint

accept: ## slow acceptance checks: make accept TOPIC=main; logs are kept in .accept/
	./scripts/accept $(TOPIC)

bench: build ## compare with plain kernel forwarding and with peers, in the lab: docs/performance.md
	./scripts/packages peers
	$(BIN) lab bench --write docs/performance.md

fuzz: ## each fuzz target for FUZZTIME (default 20s)
	./scripts/fuzz

clean: ## remove what was built
	rm -rf bin .accept
