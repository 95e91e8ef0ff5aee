# Tcpcrypt: every target works in a fresh clone. `make` alone lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help run test bench micro simulate fuzz conformance pack build clean

SEEDS ?= 200
SEED ?= 1
export CONFIG ?= Release
export DOTNET_CLI_TELEMETRY_OPTOUT := 1
export DOTNET_NOLOGO := 1
export DOTNET_CLI_UI_LANGUAGE := en
# Build servers left behind would keep the caller's pipes and the processors busy.
export MSBUILDDISABLENODEREUSE := 1

help: ## this list
	@echo "Tcpcrypt: a userspace TCP/IP stack for .NET. Targets:"
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/\1|\2/p' $(MAKEFILE_LIST) | while IFS='|' read -r target text; do printf '  make %-12s %s\n' "$$target" "$$text"; done

run: ## a demonstration that ends by itself: tun0 in its own network namespace, ping, curl against our server, our fetch from the kernel's
	@eng/run.sh

test: ## all tests; the last line is "N passed, N failed, N skipped" (FILTER=... narrows them down)
	@eng/test.sh

bench: ## our stack beside gVisor, lwIP and the TUN device's limit, then new encrypted connections beside TLS (HANDSHAKES=1: only these; WAN=1: only goodput and fairness through delay and loss; ROUNDS=3 SECS=2; root, apt)
	@eng/bench.sh

micro: ## micro-benchmarks of the hot types (FILTER='*Checksum*')
	@eng/sdk.sh && dotnet run -c Release --project tests/Benchmarks/Micro -- --filter '$(or $(FILTER),*)'

simulate: ## two stacks, a hostile network, SEEDS=200 seeds from SEED=1; a failure prints how to replay it (TABLE=1: writes the throughput table anew)
	@eng/simulate.sh $(SEED) $(SEEDS)

fuzz: ## random packets, led by coverage, into every parser and whole stacks for SECONDS=60 (TARGET=stack SEED=1); INPUT=FILE replays one
	@eng/fuzz.sh $(if $(INPUT),--input $(INPUT) $(if $(TRACE),--trace),--seconds $(or $(SECONDS),60) --seed $(SEED) $(if $(KEEP),--keep)) $(if $(TARGET),--target $(TARGET))

conformance: ## the table of requirement ids and the tests that cover them
	@eng/conformance.sh

pack: ## the NuGet packages, in artifacts/
	@eng/pack.sh

build: ## everything, warnings as errors
	@eng/build.sh

clean: ## removes what building and testing left behind
	@find src tests samples eng -type d \( -name bin -o -name obj -o -name TestResults \) -prune -exec rm -rf {} + 2>/dev/null; rm -rf artifacts TestResults
	@echo "clean"
