# Ratwall: one line for each thing a person does here. The logic is in scripts/.

PYTHON ?= python3
FILE ?=
BOARD ?= list
IMAGE ?= build/lab-image/disk.img
BIN := .venv/bin
# An emulated box boots within a test's step, some of them twice, and nothing is wrong with that.
HIL := -o test_seconds=2700 -o faulthandler_timeout=2690 --durations=0

.DEFAULT_GOAL := help
.PHONY: help root setup run test check lint types replay bench image lab-image qemu hil hil-full lock vendor clean

help: ## print this list
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' Makefile | expand -t 18

setup: ## install what is missing (system packages as root on Debian, Python packages in .venv)
	@PYTHON=$(PYTHON) scripts/setup

root:
	@[ "$$(id -u)" -eq 0 ] || { echo "ratwall: network namespaces and the packet queue need root; try: sudo make $(MAKECMDGOALS)" >&2; exit 3; }

run: root setup ## lay out a small network, go inline, show what is cut; the page is on https://127.0.0.1:8443
	@$(BIN)/python scripts/demo

test: setup ## run every test (inline and browser tests need root)
	@scripts/run-tests

check: setup lint types test ## everything that CI runs

lint: setup ## ruff, shellcheck
	@scripts/lint

types: setup ## mypy --strict
	@$(BIN)/mypy

replay: setup ## judge a capture: make replay FILE=capture.pcap
	@$(BIN)/ratwall replay $(FILE)

bench: root setup ## plain forwarding, accept-all queue, Ratwall and Suricata (if there), side by side
	@$(BIN)/python tests/bench/inline.py

image: setup ## build a board's image with Buildroot: make image BOARD=rpi5 (BOARD=list: which there are)
	@scripts/build-image $(BOARD)

lab-image: root ## build an image for the emulator, from Debian packages (minutes; then only what changed)
	@PYTHON=$(PYTHON) scripts/setup lab-image
	@scripts/lab-image

qemu: root lab-image ## boot it between an office and an internet; the page is on https://127.0.0.1:8443
	@PYTHON=$(PYTHON) scripts/setup qemu
	@$(BIN)/python scripts/qemu $(IMAGE)

hil: root ## test an image as hardware: make hil IMAGE=disk.img (without one: the lab image)
	@PYTHON=$(PYTHON) scripts/setup qemu
	@IMAGE=$(IMAGE) scripts/run-tests $(HIL) -m "not full" tests/hil

hil-full: root ## the same with every test there is: twenty power cuts, little memory, a full disk (up to an hour)
	@PYTHON=$(PYTHON) scripts/setup qemu
	@IMAGE=$(IMAGE) scripts/run-tests $(HIL) tests/hil

lock: setup ## move every pinned dependency to its newest version
	@scripts/lock --upgrade

vendor: ## fetch the page's pinned web assets again and verify them
	@scripts/vendor

clean: ## remove what was built
	@rm -rf .venv build artifacts .mypy_cache .pytest_cache .ruff_cache .hypothesis .benchmarks
