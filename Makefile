# make run and make test need Python 3.11 or later, and nothing else.
PYTHON ?= python3
VENV ?= .venv
SEED ?=
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
TRAIN_VENV ?= .venv-train
TRAIN_PIP = $(TRAIN_VENV)/bin/python -m pip install --quiet --disable-pip-version-check
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu
# What the shipped model was trained with.
TORCH := torch==2.13.0
TRAIN_PINS := $(TORCH) transformers==5.23.0 onnx==1.23.2 onnxscript==0.7.2 safetensors==0.8.0 \
	pytest pytest-httpserver hypothesis

.PHONY: run test test-train fuzz soak check lint types lock docs clean
run: $(INSTALLED)  ## Run the monitor once over the seeds and the configured feeds
	$(BIN)/wirewatch run

test: $(INSTALLED)  ## Run the test suite
	$(BIN)/python -m pytest -n 2 --dist loadfile

fuzz: $(INSTALLED)  ## Bend feeds, pages, dates and URLs at random for a minute
	$(BIN)/python -m tests.fuzz --seconds 60 --seed $(or $(SEED),0)

soak: $(INSTALLED)  ## Kill the watcher again and again for ten minutes beside a newsroom of ours
	$(BIN)/python -m tests.soak --seconds 600 $(if $(SEED),--seed $(SEED))

test-train:  ## Test the training with real torch, in an environment of its own
	$(PYTHON) -m venv $(TRAIN_VENV)
	$(TRAIN_PIP) --retries 0 --index-url $(TORCH_INDEX) $(TORCH) || $(TRAIN_PIP) $(TORCH) \
		|| { echo "TORCH CANNOT BE HAD: THE TRAINING IS NOT TESTED" >&2; exit 1; }
	$(TRAIN_PIP) -e '.[train]' $(TRAIN_PINS) \
		|| { echo "[train] CANNOT BE INSTALLED: THE TRAINING IS NOT TESTED" >&2; exit 1; }
	$(TRAIN_VENV)/bin/python -m pytest tests/models/test_training.py tests/models/test_training_data.py

check: lint types test  ## Lint, check types, test

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(INSTALLED)
	$(BIN)/mypy

docs: $(INSTALLED)  ## Rebuild schemas/README.md from the table definitions
	$(BIN)/python -m schemas.document

lock:  ## Rebuild requirements.lock from setup.py (needs uv)
	uv pip compile --universal --generate-hashes --no-header --no-annotate \
		--no-emit-index-url --python-version 3.11 --extra dev setup.py -o requirements.lock

clean:
	rm -rf $(VENV) $(TRAIN_VENV) build *.egg-info

$(INSTALLED): requirements.lock setup.py
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed, this is " + sys.version)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@
