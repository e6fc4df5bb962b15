# make run     start Lightbox on ./data with sample studies and print a link to open
# make test    every gate and test, as continuous integration runs them
# make bench   measure Lightbox, Orthanc and nginx side by side, into conformance/BENCH.md, and how latency grows with the
#              archive, into conformance/GROWTH.md (about half an hour)
# make format  put the code in its format
# make clean   remove what the commands above made, but never ./data

HOST ?= 127.0.0.1
PORT ?= 8042
WITH_VENV = PATH="$(CURDIR)/.venv/bin:$$PATH"

.PHONY: run test bench format clean

run:
	@.ci/setup run
	@$(WITH_VENV) lightbox viewer install --data ./data
	@$(WITH_VENV) lightbox demo --data ./data --host $(HOST) --port $(PORT)

test:
	@.ci/setup test
	@$(WITH_VENV) python .ci/check

bench:
	@.ci/setup bench
	@$(WITH_VENV) python -m conformance.bench --out conformance/BENCH.md
	@$(WITH_VENV) python -m conformance.bench growth --out conformance/GROWTH.md

format:
	@.ci/setup test
	@$(WITH_VENV) ruff format .
	@$(WITH_VENV) ruff check --fix .

clean:
	rm -rf .venv .check .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
