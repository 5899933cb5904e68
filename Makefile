# Everything a person does with a checkout. `make` alone lists it.

PYTHON ?= python3
VENV ?= .venv
ARGS ?=

VENV_PYTHON := $(VENV)/bin/python
PIP_INSTALL := "$(VENV_PYTHON)" -m pip install --quiet --disable-pip-version-check --no-input --require-hashes
LOCK := "$(VENV_PYTHON)" -m uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--custom-compile-command "make lock"

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help install run demo test crash bench format lock clean python venv venv-run venv-dev

help: ## list these targets
	@echo 'make TARGET [ARGS="..."] [PYTHON=python3.12]'
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  \1\t\2/p' Makefile | expand -t 12

install: venv-run ## make .venv with what the bot needs to run
	@echo 'Ready. Set DISCORD_TOKEN in .env (.env.example describes every setting), then: make run'

run: venv-run ## run the bot in Discord; needs DISCORD_TOKEN
	@exec "$(VENV_PYTHON)" -m bot run $(ARGS)

demo: venv-dev ## try the bot in a browser, without Discord and without keys; ARGS=--once ends by itself
	@exec "$(VENV_PYTHON)" -m bot demo $(ARGS)

test: venv-dev ## check format, lint, types and tests, as CI does; ARGS goes to pytest
	"$(VENV_PYTHON)" -m ruff format --check .
	"$(VENV_PYTHON)" -m ruff check .
	"$(VENV_PYTHON)" -m basedpyright
	"$(VENV_PYTHON)" -m pytest --cov --numprocesses auto --dist loadfile $(ARGS)

crash: venv-dev ## kill the bot again and again and compare its books; ARGS="--kills 500 --seed 7"
	@exec "$(VENV_PYTHON)" -m tests.crash $(ARGS)

bench: venv-dev ## print what the bot takes and how long people wait, beside the aims; ARGS="ack load" names parts
	@exec "$(VENV_PYTHON)" -m tests.bench $(ARGS)

format: venv-dev ## format the code and mend what ruff can mend
	"$(VENV_PYTHON)" -m ruff format .
	"$(VENV_PYTHON)" -m ruff check --fix .

lock: venv-dev ## pin the dependencies of pyproject.toml anew; ARGS=--upgrade takes newer ones
	$(LOCK) $(ARGS) --output-file requirements.txt pyproject.toml
	$(LOCK) $(ARGS) --output-file requirements-dev.txt --extra dev --constraints requirements.txt pyproject.toml

clean: ## remove .venv and everything the tools leave behind; data stays
	rm -rf "$(VENV)" .pytest_cache .ruff_cache .hypothesis .coverage .coverage.*
	find bot cogs storage tests -type d -name __pycache__ -prune -exec rm -rf {} +

python: # says what to do where Python is missing or unfit
	@command -v "$(PYTHON)" >/dev/null 2>&1 || { \
		echo 'Python 3.11 or newer is needed, and there is no "$(PYTHON)" here.' \
			'Install it (on Debian or Ubuntu: apt install python3 python3-venv),' \
			'or name one: make PYTHON=/path/to/python3' >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "Python 3.11 or newer is needed; $(PYTHON) is $$("$(PYTHON)" --version 2>&1)." \
			'Name a newer one: make PYTHON=/path/to/python3' >&2; exit 1; }
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || { \
		echo '$(PYTHON) cannot make virtual environments: its module venv or ensurepip is missing.' \
			'On Debian or Ubuntu: apt install python3-venv' >&2; exit 1; }

venv: # makes the .venv where there is none, or where its Python is gone or of another version
	@"$(VENV_PYTHON)" -c 'import pip' 2>/dev/null || { \
		$(MAKE) --no-print-directory python && \
		"$(PYTHON)" -m venv --clear "$(VENV)"; }

# The stamp of an installed lock is its copy in the .venv; requirements-dev.txt holds all of requirements.txt.

venv-run: venv
	@cmp -s requirements.txt "$(VENV)/requirements.txt" || { \
		echo 'Installing what the bot needs to run...' && \
		$(PIP_INSTALL) -r requirements.txt && \
		cp requirements.txt "$(VENV)"; }

venv-dev: venv
	@cmp -s requirements.txt "$(VENV)/requirements.txt" && \
	cmp -s requirements-dev.txt "$(VENV)/requirements-dev.txt" || { \
		echo 'Installing what the demo and the tests need...' && \
		$(PIP_INSTALL) -r requirements-dev.txt && \
		cp requirements.txt requirements-dev.txt "$(VENV)"; }
