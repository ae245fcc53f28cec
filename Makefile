# make without a target lists the targets.
MODULES := . examples internal/bench deploy

.PHONY: help demo test race deploy-test lint fmt bench chaos verify partitions durability fuzz vuln

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: ## start the example services and their Dashboard on 127.0.0.1:8080; ARGS="-addr 127.0.0.1:9000" changes the address, ARGS=-quiet starts no simulated speakers
	@echo "building; the first time takes a minute or two"
	@cd examples && go build -o ../bin/demo ./demo
	@exec bin/demo $(ARGS)

test: ## run all tests; those that need redis-server are skipped and counted if it is not installed
	@scripts/test.sh

race: ## run all tests under the race detector, shuffled, COUNT (3) times
	@scripts/test.sh -race -shuffle=on -count=$(or $(COUNT),3)

deploy-test: ## test the deploy kit on redis-server: its configurations, access rules, Compose files, runbook, alerts and dashboard
	@modules=deploy scripts/test.sh

lint: bin/golangci-lint ## check format, style and module files
	@for m in $(MODULES); do (cd $$m && go mod tidy -diff && $(CURDIR)/bin/golangci-lint run --allow-parallel-runners ./...) || exit 1; done

fmt: bin/golangci-lint ## format the code
	@for m in $(MODULES); do (cd $$m && $(CURDIR)/bin/golangci-lint fmt ./...) || exit 1; done

bench: ## compare with other libraries, for twenty minutes, and write docs/benchmarks.md; SHORT=1 only checks that it works
	@cd internal/bench && go build -o ../../bin/bench .
	@bin/bench $(if $(SHORT),-short,-docs docs) -out bin/bench.txt

chaos: ## inject faults into Redis while everything uses it, for FOR (10m), and write docs/reliability.md; SEED repeats a run
	@cd examples && go test ./chaos -run TestChaos -count 1 -timeout 60m -chaos.for $(or $(FOR),10m) -chaos.seed $(or $(SEED),0) -chaos.report $(or $(REPORT),$(CURDIR)/docs/reliability.md)

verify: ## compare hits of a near cache with Redis for FOR (5m), as many as possible, and print how consistent that proves it to be
	@go test ./cache -run TestNines -count 1 -timeout 60m -v -verify.for $(or $(FOR),5m)

partitions: ## cut the network in every way, RUNS (5) times each, and write docs/partitions.md; it needs root and half an hour; FAULT selects by name and writes nothing
	@cd examples && REDISTEST_REQUIRE=1 go test ./partitions -run TestPartitions -count 1 -timeout 120m -partitions.runs $(or $(RUNS),5) -partitions.fault "$(FAULT)" $(if $(FAULT),-v,-partitions.report $(or $(REPORT),$(CURDIR)/docs/partitions.md))

durability: ## look for what a fault takes away that was acknowledged, RUNS (1) times with each setting, measure what each setting costs, and write docs/durability.md; it needs root and five minutes; FAULT selects by name and writes nothing
	@cd examples && REDISTEST_REQUIRE=1 go test ./durability -run TestDurability -count 1 -timeout 60m -parallel 4 -durability.runs $(or $(RUNS),1) -durability.fault "$(FAULT)" $(if $(FAULT),-v,-durability.report $(or $(REPORT),$(CURDIR)/docs/durability.md))

fuzz: ## run each fuzz target for FUZZTIME (60s)
	@scripts/fuzz.sh $(or $(FUZZTIME),60s)

vuln: bin/govulncheck ## look the dependencies up in the Go vulnerability database; VULNDB=file:///a/copy uses a copy
	@for m in $(MODULES); do (cd $$m && $(CURDIR)/bin/govulncheck $(if $(VULNDB),-db $(VULNDB)) ./...) || exit 1; done

bin/golangci-lint bin/benchstat bin/govulncheck: tools/go.mod tools/go.sum
	@cd tools && GOBIN=$(CURDIR)/bin go install tool
