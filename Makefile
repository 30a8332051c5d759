# Copyright (c) 2026, the fleetops.celery contributors
# SPDX-License-Identifier: GPL-3.0-or-later

# Python 3.11 or newer and make are enough: every goal prepares what it needs, in folders that git ignores.
# ARGS goes to pytest (make unit ARGS='-k purge'), to the demonstration or to the benchmark.

PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11 python3.14; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && echo $$python && break; done)
RUN = @if [ -z '$(PYTHON)' ]; then echo 'Python 3.11 or newer is needed' >&2; exit 1; fi; \
	'$(PYTHON)' tests/tools/run.py

.PHONY: help test lint unit sanity package molecule compose demo bench docs clean

help:
	@echo 'make demo      see the collection at work, on a PostgreSQL of its own'
	@echo 'make test      everything below'
	@echo 'make lint      style, types, documentation, changelog'
	@echo 'make unit      unit tests, and module tests on real databases'
	@echo 'make sanity    ansible-test sanity on the oldest and the newest ansible-core'
	@echo 'make package   build the tarball, install it, read its documentation'
	@echo 'make molecule  the roles, by their Molecule scenarios'
	@echo 'make compose   the modules and playbooks on real Docker Compose projects'
	@echo 'make bench     measure against raw SQL and django-celery-results'
	@echo 'make docs      write the README of each role'
	@echo 'make clean     remove all that these goals have made'

test lint unit sanity package molecule compose demo bench docs:
	$(RUN) $@ $(ARGS)

clean:
	rm -rf .ansible .build .hypothesis .mypy_cache .pytest_cache .ruff_cache .venv .venv-2.19 tests/output
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
