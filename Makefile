# Turbo-HFT. `make help` lists the targets.
.DEFAULT_GOAL := build
.DELETE_ON_ERROR:
SHELL := /bin/sh
export PATH := $(PATH):/usr/sbin:/sbin

PYTHON ?= python3
VENV ?= .venv
CLANG_FORMAT ?= clang-format-19
PYTEST_ARGS ?=
DEMO_ARGS ?=
BENCH_ARGS ?=
BENCH_BOOK_ARGS ?=
BENCH_GATE_ARGS ?=
MUTATION_ARGS ?=
TRADING_DAY_ARGS ?=
ITCH_ORDER_BOOK ?=
CPPTRADER ?=
KERNELS ?= 6.1 6.12
MATRIX_ARGS ?=
MATRIX_ORDERS_ARGS ?=
VERIFIER_ARGS ?=
BOOK_CHECK_ARGS ?=
TORTURE_ARGS ?=
SWAP_ARGS ?=
CRASH_ARGS ?=
START_ARGS ?=
WATCH_ARGS ?=
LEASE_ARGS ?=
JOURNAL_ARGS ?=
DOCS_TEST_ARGS ?=
BENCH_TCP_ARGS ?=
WIRE_ORDERS ?= 100000
WIRE_BAD_ORDERS ?= 5000
WIRE_SEEDS ?= 5
TCP_CRASH ?= 300

BIN := $(VENV)/bin
PY := $(BIN)/python
BPF_FILES := $(shell find bpf native -name '*.[ch]' 2>/dev/null)
C_FILES := $(filter-out %/vmlinux.h,$(BPF_FILES)) $(wildcard docs/examples/*.c bench/*.c bench/*.h bench/*.cpp bench/*/*.c bench/*/*.h bench/*/*.cpp)

.PHONY: build deps demo test test-long lint format fuzz bench screenshot screenshot-terminal screenshot-web vmlinux docs docs-test man clean distclean help
.PHONY: verifier kernel-matrix matrix-deps book-check torture lease-test swap-test crash-test start-bench watch-bench bench-book bench-gate mutation trading-day journal-check
.PHONY: wire-guards wire-long tcp-crash bench-tcp

build: $(VENV)/.built ## install what is missing, make .venv and build everything (the default)

deps: ## install missing system packages (apt), nothing if all are there
	@PYTHON=$(PYTHON) tools/deps.sh

$(VENV)/.created: | deps
	$(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet --disable-pip-version-check 'setuptools>=77' wheel 'cffi>=1.17'
	touch $@

# The editable install builds the native extension in place and puts turbo-hft into $(BIN).
$(VENV)/.built: $(VENV)/.created pyproject.toml setup.py build.py $(BPF_FILES) | deps
	$(PY) -m pip install --quiet --disable-pip-version-check --no-build-isolation --editable '.[test]'
	touch $@

demo: build ## the whole loop: lab, exchange, engine, three ledgers, latency (DEMO_ARGS=...)
	$(BIN)/turbo-hft demo $(DEMO_ARGS)

# Without QEMU the test of the kernel matrix skips, without Chromium that of the web face, and says why.
test: lint ## lint, then every test (PYTEST_ARGS=...)
	-@tools/deps.sh matrix
	-@tools/deps.sh browser
	$(PY) -m pytest -n 2 $(PYTEST_ARGS)

test-long: build ## those tests that take long and have a shorter relative in `make test` (PYTEST_ARGS=...)
	$(PY) -m pytest -m long $(PYTEST_ARGS)

lint: build ## ruff, mypy --strict, clang-format; changes nothing
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(CLANG_FORMAT) --dry-run -Werror $(C_FILES)

format: build ## bring Python and C into the project's format
	$(BIN)/ruff check --fix --quiet . || true
	$(BIN)/ruff format .
	$(CLANG_FORMAT) -i $(C_FILES)

fuzz: build ## 1,000,000 frames and more against the loaded program and the model (PYTEST_ARGS=...)
	$(PY) -m pytest -s -m fuzz --hypothesis-profile=fuzz --timeout=0 $(PYTEST_ARGS)

bench: build ## the engine beside everything else that could answer, in a minute (BENCH_ARGS=--full: fifteen, with pictures)
	$(BIN)/turbo-hft bench $(BENCH_ARGS)

book-check: build ## a whole market's books, every message, against three others (BOOK_CHECK_ARGS="--messages 1000000")
	$(PY) -m turbo_hft.testing.book_check $(BOOK_CHECK_ARGS)

torture: build ## days on which all goes wrong on the feed that can (TORTURE_ARGS="--seeds 20 --seconds 60")
	$(PY) -m turbo_hft.testing.torture $(TORTURE_ARGS)

lease-test: build ## kill, stop and hang a control process 1,000 times each: do orders stop within the lease? (LEASE_ARGS=...)
	$(PY) -m turbo_hft.testing.lease_trial $(LEASE_ARGS)

journal-check: build ## every truncation and flipped bit, 10 M records, rates, killed writers (JOURNAL_ARGS="--records 1000000")
	$(PY) -m turbo_hft.testing.journal_check $(JOURNAL_ARGS)

trading-day: build ## a day on which orders go wrong in every way: are three ledgers equal? (TRADING_DAY_ARGS="--seconds 600")
	$(PY) -m turbo_hft.testing.trading_day $(TRADING_DAY_ARGS)

mutation: build ## leave out each clause of the gate, and of orders on TCP, in turn: does a test miss it? (MUTATION_ARGS="--sample 10")
	$(PY) -m tools.mutation $(MUTATION_ARGS)

wire-guards: build ## leave out each guard of delegated sends in turn: does a test miss it?
	WIRE_GUARDS=99 $(PY) -m pytest tests/kernel/test_delegated_guards.py

wire-long: build ## delegated sends for long, over bad lines too: is the peer's stream what was meant? (WIRE_ORDERS=1000000 WIRE_BAD_ORDERS=5000 WIRE_SEEDS=20)
	WIRE_ORDERS=$(WIRE_ORDERS) WIRE_BAD_ORDERS=$(WIRE_BAD_ORDERS) WIRE_SEEDS=$(WIRE_SEEDS) $(PY) -m pytest --timeout=0 tests/kernel/test_delegated_send.py tests/kernel/test_delegated_adverse.py

tcp-crash: build ## kill a trader on a TCP connection at every step and moment: what does the peer see? (TCP_CRASH=1000)
	TCP_CRASH=$(TCP_CRASH) $(PY) -m pytest --timeout=0 tests/kernel/test_delegated_crash.py

bench-tcp: build ## tick to order on a TCP connection: the hook beside a C bot that spins (BENCH_TCP_ARGS="--rounds 50000")
	$(PY) -m bench.tcp.run $(BENCH_TCP_ARGS)

bench-gate: build ## ns of the gate and of each of its checks (BENCH_GATE_ARGS=...)
	$(PY) -m bench.gate.run $(BENCH_GATE_ARGS)

# The others are built from checkouts: ITCH_ORDER_BOOK= (github: charles-cooper/itch-order-book), CPPTRADER= (chronoxor/CppTrader).
bench-book: build ## ns/message of a whole book beside other ITCH books (ITCH_ORDER_BOOK=DIR CPPTRADER=DIR BENCH_BOOK_ARGS=...)
	$(PY) -m bench.book.run $(if $(ITCH_ORDER_BOOK),--itch-order-book $(ITCH_ORDER_BOOK)) \
		$(if $(CPPTRADER),--cpptrader $(CPPTRADER)) $(BENCH_BOOK_ARGS)

swap-test: build ## a user's strategy swapped 1,000 times under a whole market's feed (SWAP_ARGS="--swaps 100")
	$(PY) -m tools.swap_test $(SWAP_ARGS)

crash-test: build ## kill the control process and swap the program, 100 times each, under full load (CRASH_ARGS="--kills 10")
	$(PY) -m tools.crash_test $(CRASH_ARGS)

start-bench: build ## from nothing to the first decision, from a killed process to trading: medians (START_ARGS="--times 20")
	$(PY) -m bench.start.run $(START_ARGS)

watch-bench: build ## what it costs the hook to be watched: recorder, dashboard (WATCH_ARGS="--watch 'NAME=COMMAND'")
	$(PY) -m bench.watch.run $(WATCH_ARGS)

verifier: build ## what the verifier says: instructions, states, stack, sizes (VERIFIER_ARGS="--kernels --record")
	$(PY) -m tools.verifier $(VERIFIER_ARGS)

matrix-deps: ## install QEMU and what else the kernel matrix needs (apt), nothing if all are there
	@tools/deps.sh matrix

kernel-matrix: build matrix-deps ## the same run, and orders on TCP, on other kernels: in QEMU, emulated (KERNELS="6.1 6.12")
	$(PY) -m tools.kernel_matrix $(KERNELS) $(MATRIX_ARGS)
	$(PY) -m tools.kernel_matrix.orders --long $(KERNELS) $(MATRIX_ORDERS_ARGS)

screenshot: screenshot-terminal screenshot-web ## the pictures in the README, each from a run of its own

screenshot-terminal: build
	$(BIN)/turbo-hft demo --no-latency --screenshot docs/terminal.svg

screenshot-web: build
	@tools/deps.sh browser
	PYTHONPATH=tests $(PY) -m tools.web_screenshot docs/web.png

vmlinux: deps ## bpf/vmlinux.h anew, from the running kernel's BTF
	$(PYTHON) tools/vmlinux.py bpf/vmlinux.h

docs: build ## every page and picture under docs/ that is made from code, anew
	$(PY) -m tools.generated_docs

docs-test: build ## every block, command and link of README.md and docs/ (DOCS_TEST_ARGS=--all-blocks: the long ones too)
	$(PY) -m pytest -rP tests/docs $(DOCS_TEST_ARGS)

man: build ## build/turbo-hft.1, the manual page, from the parsers
	$(BIN)/argparse-manpage --module turbo_hft.cli.entry --function build_parser --prog turbo-hft --project-name turbo-hft \
		--manual-title "Turbo-HFT" --output build/turbo-hft.1

clean: ## remove what was built; the venv stays
	rm -rf build dist python/*.egg-info python/turbo_hft/_native*.so python/turbo_hft/latency/_*.so
	rm -rf .mypy_cache .pytest_cache .ruff_cache .hypothesis
	rm -f $(VENV)/.built
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +

distclean: clean ## remove the venv too
	rm -rf $(VENV)

help: ## this list
	@sed -n 's/^\([a-z-]*\):[^#]*## /\1\t/p' $(firstword $(MAKEFILE_LIST)) | expand -t 14
