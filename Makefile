# demo: the whole line once, with a summary (KEEP=1 leaves it running)   test: everything   bench: measured floors
# bench-long: ten minutes of load at Klaviyo's real windows, and stores of millions of keys
# soak: half an hour in Klaviyo's real windows: budgets used, owners killed or asleep, memory (ARGS: names)
# lint, fmt: the style   lock: pin the libraries anew   clean: stop the local stack, remove all that was made
# ARGS="…" is handed to what runs. PYTHON=… names the Python to start from.
PYTHON ?= python3
VENV := .venv
# A line is many short processes: with compiled files each starts in half the time.
unexport PYTHONDONTWRITEBYTECODE
RUN := $(VENV)/bin/python
INSTALLED := $(VENV)/.installed

.PHONY: demo test bench bench-long soak lint fmt lock clean
.DELETE_ON_ERROR:

demo: $(INSTALLED)
	$(RUN) -m streams demo $(if $(KEEP),--keep) $(ARGS)

# Pages are looked at in a real browser: installed where that is allowed, else those tests skip by name.
test: $(INSTALLED)
	@command -v chromium >/dev/null || test "$$(id -u)" != 0 || { \
		apt-get update -qq && apt-get install -y -qq chromium >/dev/null; } || true
	$(RUN) -m streams.local
	$(RUN) -m pytest -n auto $(ARGS)

bench: $(INSTALLED)
	$(RUN) -m streams.local
	$(RUN) -m tests.bench $(ARGS)

bench-long: $(INSTALLED)
	$(RUN) -m streams.local
	$(RUN) -m tests.soak steady bulk keys $(ARGS)

soak: $(INSTALLED)
	$(RUN) -m streams.local
	$(RUN) -m tests.soak $(ARGS)

lint: $(INSTALLED)
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy

fmt: $(INSTALLED)
	$(RUN) -m ruff check --fix .
	$(RUN) -m ruff format .

# One lock for every Python from 3.11 on and every platform, the tests' libraries included.
lock: $(INSTALLED)
	$(RUN) -m pip install --quiet uv
	$(RUN) -m uv pip compile --quiet --generate-hashes --no-emit-index-url --universal --python-version 3.11 \
		--extra test --custom-compile-command "make lock" --output-file requirements.lock $(ARGS) pyproject.toml
	@! grep -nE "https?://" requirements.lock

clean:
	-test ! -e .data/stack/stack.json || test ! -x $(RUN) || $(RUN) -m streams stack down
	rm -rf $(VENV) .data build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage*
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# --no-build-isolation: the lock holds the build's own tools, so nothing unpinned is fetched.
$(INSTALLED): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "Python 3.11 or newer is needed, $(PYTHON) is $$($(PYTHON) --version 2>&1): make PYTHON=/path/to/python3.11 …" >&2; exit 3; }
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements.lock
	$(RUN) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@
