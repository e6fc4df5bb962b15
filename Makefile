# make run     start Lightbox on ./data with sample studies and print a link to open
# make test    every gate and test, as continuous integration runs them
# make format  put the code in its format
# make clean   remove what the commands above made, but never ./data

HOST ?= 127.0.0.1
PORT ?= 8042

.PHONY: run test format clean

run:
	@.ci/setup run
	@.venv/bin/lightbox demo --data ./data --host $(HOST) --port $(PORT)

test:
	@.ci/setup test
	@.venv/bin/python .ci/check

format:
	@.ci/setup test
	@.venv/bin/ruff format .
	@.venv/bin/ruff check --fix .

clean:
	rm -rf .venv .check .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
