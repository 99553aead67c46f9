# Set-up, demo, tests and lint. Every target does the set-up it needs first; each stage of set-up leaves
# a stamp only when it has finished, so an interrupted set-up is repaired by running make again.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.SILENT:
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

DOMAIN ?= movielens
ARGS ?=
VENV := .venv
STAMPS := $(VENV)/.stamps
TOOLS := $(VENV)/.tools/bin
GLIBC := $(VENV)/glibc
UV := $(TOOLS)/uv

export TF_USE_LEGACY_KERAS := 1
# Importing TensorFlow and TFX without bytecode takes five times as long.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup demo test check lint format lock clean

help: ## show this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 18

setup: $(STAMPS)/ready ## install everything into .venv (the other targets do this by themselves)

demo: setup ## run the whole pipeline on public data and recommend (DOMAIN=movielens or retail)
	$(VENV)/bin/westwork run --domain $(DOMAIN) --demo $(ARGS)
	$(VENV)/bin/westwork recommend --domain $(DOMAIN) --example

test: setup ## run every test (ARGS="-k history" narrows it)
	$(VENV)/bin/python -m pytest $(ARGS)

# Tests that load neither TensorFlow nor TFX.
FAST := tests/docs tests/ingest/files --ignore=tests/ingest/files/test_file_patterns.py \
    tests/ingest/test_{cancellations,conditions,history,log_catalogue,partition,split}.py \
    tests/pipeline/propose tests/pipeline/test_{settings,yaml_text}.py

check: setup ## lint, types and the fast tests, in under a minute
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy & types=$$!
	$(VENV)/bin/python -m pytest -n 0 --durations=0 --durations-min=2 $(FAST)
	wait $$types

lint: setup ## ruff, ruff format --check and mypy
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/mypy kubeflow/runner.py

format: setup ## rewrite the code in the project's format
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

lock: $(STAMPS)/tools ## resolve setup.py again into requirements.lock
	$(UV) pip compile -q requirements-setup.in --generate-hashes --universal --python-version 3.11 -o requirements-setup.lock
	$(UV) pip compile -q setup.py --extra dev --extra xlsx --generate-hashes --universal --python-version 3.11 \
	    --override overrides.txt -o requirements.lock

clean: ## remove the environment (not your runs)
	rm -rf $(VENV)

# --- set-up, stage by stage -------------------------------------------------------------------------

$(STAMPS)/checked:
	fail() { printf 'westwork set-up: %s\n' "$$1" >&2; exit 1; }
	[[ "$$(uname -sm)" == "Linux x86_64" ]] || fail "found $$(uname -sm); ScaNN and ML Metadata are published for Linux x86_64 only. Use such a machine or container."
	python=""
	for candidate in $(PYTHON) python3 python3.13 python3.12 python3.11; do
	    if "$$candidate" -c 'import sys, venv; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null; then
	        python=$$("$$candidate" -c 'import sys; print(sys.executable)'); break
	    fi
	done
	[[ -n "$$python" ]] || fail "no Python 3.11, 3.12 or 3.13 with the venv module found (tried $(PYTHON) python3, python3.13, python3.12, python3.11). Install one, or name it: make setup PYTHON=/path/to/python3"
	command -v g++ >/dev/null || fail "g++ not found; one dependency (pyfarmhash) is compiled. On Debian or Ubuntu: apt-get install g++"
	headers=$$("$$python" -c 'import sysconfig; print(sysconfig.get_path("include"))')
	[[ -f "$$headers/Python.h" ]] || fail "no Python.h in $$headers; one dependency (pyfarmhash) is compiled. On Debian or Ubuntu: apt-get install python3-dev"
	mkdir -p $(STAMPS)
	echo "$$python" > $@

$(STAMPS)/tools: requirements-setup.lock $(STAMPS)/checked
	echo "set-up 1/4: installer"
	python=$$(cat $(STAMPS)/checked)
	for part in bin include lib lib64 pyvenv.cfg .tools; do rm -rf "$(VENV)/$$part"; done
	# --copies: the interpreter may get patched below, and must be ours alone then.
	"$$python" -m venv --without-pip --copies $(VENV)
	for name in $(VENV)/bin/python3*; do ln -sf python "$$name"; done
	"$$python" -m venv $(VENV)/.tools
	$(TOOLS)/python -m pip install -qq --disable-pip-version-check --require-hashes -r requirements-setup.lock
	touch $@

$(STAMPS)/glibc: $(STAMPS)/tools
	fail() { printf 'westwork set-up: %s\n' "$$1" >&2; exit 1; }
	older() { [[ "$$1" != "$$2" && "$$(printf '%s\n%s\n' "$$1" "$$2" | sort -V | head -n 1)" == "$$1" ]]; }
	found=$$(getconf GNU_LIBC_VERSION | cut -d ' ' -f 2)
	stdcxx=$$(ldconfig -p 2>/dev/null | sed -n 's/.*libstdc++\.so\.6 .*x86-64.*=> //p' | head -n 1 || true)
	if ! older "$$found" 2.38 && [[ -n "$$stdcxx" ]] && grep -q GLIBCXX_3.4.32 "$$stdcxx"; then
	    touch $@; exit 0
	fi
	echo "set-up 2/4: glibc $$found or its libstdc++ is too old for ML Metadata (glibc 2.38, libstdc++ 13): private copies of Debian 13's into $(GLIBC)"
	. /etc/os-release
	[[ "$${ID:-}" == debian && "$${VERSION_ID:-0}" -ge 12 ]] && command -v apt-get >/dev/null \
	    || fail "this system ($${PRETTY_NAME:-unknown}) has glibc $$found; ML Metadata's wheels need glibc 2.38 and libstdc++ 13. Set-up can fetch them by itself on Debian 12 only. Use Ubuntu 24.04, Debian 13 or newer, or the image of kubeflow/Dockerfile."
	mirror=$$(apt-get indextargets --format '$$(REPO_URI) $$(CODENAME) $$(RELEASE) $$(COMPONENT)' 'Created-By: Packages' \
	    | awk '($$2 == "bookworm" || $$3 == "bookworm" || $$2 == "trixie" || $$3 == "trixie") && $$NF == "main" && $$1 ~ /debian\/?$$/ {print $$1; exit}')
	[[ -n "$$mirror" ]] || fail "no Debian mirror with the 'main' component is configured in /etc/apt. Add one, then run make again."
	work="$$PWD/$(GLIBC).part"
	rm -rf "$$work" $(GLIBC); mkdir -p "$$work"/{lists/partial,cache/archives/partial,debs,root}
	echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $$mirror trixie main" > "$$work/sources.list"
	printf '%s;\n' "Dir::Etc::SourceList \"$$work/sources.list\"" 'Dir::Etc::SourceParts "-"' \
	    "Dir::State::Lists \"$$work/lists\"" "Dir::Cache \"$$work/cache\"" \
	    'APT::Sandbox::User "root"' 'Acquire::Languages "none"' 'APT::Architecture "amd64"' > "$$work/apt.conf"
	apt=(env APT_CONFIG="$$work/apt.conf" apt-get -qq)
	"$${apt[@]}" update || fail "could not read Debian 13's package list from $$mirror. Check the network, then run make again."
	(cd "$$work/debs" && "$${apt[@]}" download libc6/trixie libstdc++6/trixie libgcc-s1/trixie) \
	    || fail "could not fetch Debian 13's libc6, libstdc++6 and libgcc-s1 from $$mirror. Check the network, then run make again."
	for deb in "$$work"/debs/*.deb; do dpkg -x "$$deb" "$$work/root"; done
	mv "$$work/root" $(GLIBC); rm -rf "$$work"
	lib="$$PWD/$(GLIBC)/usr/lib/x86_64-linux-gnu"
	rpath=$$($(TOOLS)/patchelf --print-rpath $(VENV)/bin/python)
	cp $(VENV)/bin/python $(VENV)/bin/.python.part
	$(TOOLS)/patchelf --set-interpreter "$$lib/ld-linux-x86-64.so.2" --force-rpath --set-rpath "$$lib$${rpath:+:$$rpath}" \
	    --add-needed libstdc++.so.6 $(VENV)/bin/.python.part
	mv $(VENV)/bin/.python.part $(VENV)/bin/python
	$(VENV)/bin/python -c 'pass' || fail "the patched interpreter does not start. Remove $(VENV) and run make again."
	touch $@

$(STAMPS)/installed: requirements.lock $(STAMPS)/glibc
	echo "set-up 3/4: packages of requirements.lock (about 4 GB on disk)"
	UV_LINK_MODE=copy $(UV) pip sync --quiet --python $(VENV)/bin/python --require-hashes \
	    --python-platform x86_64-manylinux_2_40 requirements.lock
	touch $@

$(STAMPS)/ready: setup.py $(STAMPS)/installed
	echo "set-up 4/4: westwork and bytecode"
	$(UV) pip install --quiet --python $(VENV)/bin/python --no-deps --no-build-isolation --editable .
	$(VENV)/bin/python -W ignore -m compileall -q -j 0 $(VENV)/lib >/dev/null 2>&1 || true
	touch $@
