# Every check is a step of .ci/run, so that a target here and the whole run
# cannot come to differ.

.DEFAULT_GOAL := help
.PHONY: help test race vet lint fmt fix bench-smoke gostats ci

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

test: ## run the tests of all modules
	go test work

race: ## run them under the race detector
	.ci/run race

vet: ## go vet in every module
	.ci/run vet

lint: ## golangci-lint in every module; the first run builds it
	.ci/run lint

fmt: ## format the code
	gofmt -w .

fix: ## bring the code up to date with the language
	go fix work

bench-smoke: ## run every benchmark once
	.ci/run bench-smoke

gostats: ## parse all of Go's own source: the main example
	go run ./examples/gostats

ci: ## everything a change has to pass
	.ci/run
