# Two commands matter: `make demo` runs the main job, `make test` runs what CI runs. Both set everything up first, in .venv.
SHELL := /bin/bash
.DEFAULT_GOAL := help
BIN := .venv/bin
BENCHMARKS := open_versus_closed generator_lag path_overhead proxy_cost network_faults instrumentation_cost highest_rate scrape_cost kill_runner policies replica_step replica_start demo_runs interval_coverage ground_truth million_rows
SETUP := pyproject.toml constraints.txt .ci/setup $(wildcard .ci/*.py)
EXPERIMENT ?= chaos/experiments/pod-kill-30.yaml
# Files of tests at a time: most tests wait for real processes, so that two cores have room for five.
JOBS ?= 5
# Of the nightly run against Kubernetes: .ci/nightly-chaos names them.
STEP ?= all

.PHONY: help demo test tests check deploy-check slow nightly-chaos benchmarks render setup upgrade clean

help: ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-13s %s\n", $$1, $$2}' Makefile

demo: .venv/.installed ## kill 30 % of ten replicas under load and prove how fast goodput comes back (about 2 minutes)
	@code=0; $(BIN)/aftershock run $(EXPERIMENT) || code=$$?; \
	printf '%s\n' 'next      . .venv/bin/activate, then what the README says; aftershock --help'; exit $$code

# Hundreds of processes start in these tests: without bytecode each would compile some four hundred files anew.
test slow: export PYTHONDONTWRITEBYTECODE =

test: .venv/.installed-dev ## everything CI runs, without `slow`, `gpu` and `cluster` tests
	@$(MAKE) --no-print-directory -j 2 check tests

tests: .venv/.installed-dev
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder

check: .venv/.installed-dev ## format, lint, types, import rules, generated files: seconds
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/python .ci/module_table.py --check
	$(BIN)/python .ci/roles.py --check
	$(BIN)/python -m exporters docs --check
	$(BIN)/python -m chaos.record --check
	$(BIN)/python -m chaos.lint --check
	$(BIN)/python -m dashboards build --check

deploy-check: .venv/.installed-dev ## the manifests, Dockerfiles and workflows: schemas, rights, rules of our own
	$(BIN)/aftershock lint deploy
	$(BIN)/python -m pytest tests/test_deploy*.py tests/test_workflows.py

slow: .venv/.installed-dev ## the tests marked slow: many repetitions, and variants of whole runs; long
	$(BIN)/python -m pytest -m slow

nightly-chaos: ## the catalogue against kind and Chaos Mesh (Docker, kind, kubectl, helm, CHAOS_MESH_CHARTS); STEP=... for one step
	@case "$(STEP)" in all|run|findings) $(MAKE) --no-print-directory setup;; esac
	.ci/nightly-chaos $(STEP)

benchmarks: .venv/.installed-dev ## every figure of the docs, measured again on this machine (about an hour)
	@for name in $(BENCHMARKS); do echo "== python -m benchmarks.$$name"; $(BIN)/python -m benchmarks.$$name || exit 1; done

render: .venv/.installed-dev ## draw every dashboard over a real run, judge the pictures, and put them into the docs (Node 18, Chromium)
	$(BIN)/python -m tests.rendered_run

setup: .venv/.installed-dev ## only install

upgrade: .venv/.installed-dev ## newest versions of everything into constraints.txt
	.ci/setup upgrade

clean: ## remove the environment and all run folders; the packages that clones share stay: rm -rf ~/.cache/aftershock
	rm -rf .venv runs

.venv/.installed: $(SETUP)
	.ci/setup run

.venv/.installed-dev: $(SETUP)
	.ci/setup dev
