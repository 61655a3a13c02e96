# make quickstart · make paper · make methods · make real · make test · make bench · make bench-step · make bench-scale · make kill-storm · make fault-storm · make install · make install-gpu · make lint · make lock · make clean
# PYTHON=/path/to/python chooses the Python of a new environment; without it one that works is found.
export PYTHON

.DEFAULT_GOAL := help
.PHONY: help install install-gpu quickstart paper methods real test test-real test-unit test-gpu-set bench bench-step bench-scale kill-storm fault-storm lint lock clean

help:
	@sed -n 's/^## //p' $(MAKEFILE_LIST)

## make install        .venv with the pinned CPU set (verl, torch and vLLM for the CPU); does nothing when done
install:
	@bash scripts/install.sh cpu

## make install-gpu    .venv-gpu with verl's own pinned GPU extras
install-gpu:
	@bash scripts/install.sh gpu

## make quickstart     make a tiny model, train it with NSR, compare pass@k before and after; METHOD=psr|nsr|w_reinforce|grpo|ppo
quickstart: install
	@.venv/bin/python scripts/quickstart.py

## make paper          the paper in miniature: five methods × three seeds, compared at the same pass@1; ARGS="--quick", "--dry-run" …
paper: install
	scripts/study studies/tiny.yaml --arms paper $(ARGS)

## make methods        every method, and every arm of docs/results/protocol.md; hours; shares the runs of `make paper`
methods: install
	scripts/study studies/tiny.yaml $(ARGS)

## make real           SmolLM2-135M-Instruct on sums: PSR, NSR, W-REINFORCE, compared at the same pass@1; ARGS="--steps 20"
real: install
	scripts/study studies/smollm2.yaml $(ARGS)

# Two processes run tests, a file each at a time; the longest files come first.
PYTEST = python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

## make test           the whole test suite, on the real engine
test: install
	.venv/bin/$(PYTEST) tests/integration tests/unit

## make test-real      a real language model trains two steps; brings 93 MB of weights
test-real: install
	.venv/bin/python -m pytest tests/real

## make test-unit      the tests that take seconds
test-unit: install
	.venv/bin/$(PYTEST) tests/unit

## make test-gpu-set   the same in the GPU set of packages (11 GB, no GPU needed), the engine's updates and all dry runs
test-gpu-set: install-gpu
	.venv-gpu/bin/$(PYTEST) tests/gpu_set tests/integration/test_engine_lab.py tests/unit

## make bench          accuracy and speed of the verifier, speed of the evaluation (PAIRS=labelled pairs, for the verifier)
PAIRS ?= ../shared/grader/pairs.jsonl
bench: install
	.venv/bin/python tests/bench/bench_verify.py --pairs $(PAIRS)
	.venv/bin/python tests/bench/bench_evaluation.py metrics
	.venv/bin/python -m rlvr.tiny
	.venv/bin/python tests/bench/bench_evaluation.py engine

## make bench-step   a training step beside upstream's managers and TRL (MODEL=smollm2-135m SIZES=16x4,512x8 ROUNDS=2 CONTENDERS=ours,trl)
MODEL ?= tiny
SIZES ?= $(if $(filter tiny,$(MODEL)),16x4$(comma)128x8,8x8)
ROUNDS ?= 2
CONTENDERS ?= $(if $(filter tiny,$(MODEL)),ours$(comma)ours-per-core$(comma)upstream$(comma)upstream-per-core$(comma)trl$(comma)bare,ours$(comma)trl$(comma)bare)
comma := ,
bench-step: install
	bash scripts/install.sh trl
	$(if $(filter tiny,$(MODEL)),.venv/bin/python -m rlvr.tiny,scripts/prepare_smollm2)
	.venv/bin/python tests/bench/bench_step.py step --model $(MODEL) --sizes $(SIZES) --rounds $(ROUNDS) --contenders $(CONTENDERS)

## make bench-scale   a step of 512 to 16,384 samples without a model: time, memory and bytes of everything else (CELLS=8192x3072)
CELLS ?=
bench-scale: install
	.venv/bin/python -m rlvr.tiny
	.venv/bin/python tests/bench/bench_scale.py $(if $(CELLS),--cells $(CELLS))

## make kill-storm   kill an evaluation N times at random moments, without a model and REAL times with one; nothing may be lost
N ?= 1000
REAL ?= 100
kill-storm: install
	.venv/bin/python -m rlvr.tiny
	.venv/bin/python tests/bench/kill_storm.py stand-in --kills $(N)
	.venv/bin/python tests/bench/kill_storm.py real --kills $(REAL)

## make fault-storm  kill N processes of trainings, one every few seconds, until 30 steps are done, again and again (N=200)
fault-storm: N = 200
fault-storm: install
	.venv/bin/python -m rlvr.tiny
	.venv/bin/python tests/bench/fault_storm.py --faults $(N)

## make lint           ruff (format and rules) and mypy
lint: install
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy

## make lock           resolve requirements/*.in into the locks, keeping versions that still fit; UPGRADE=1 takes the newest
lock: install
	.venv/bin/python scripts/lock.py $(if $(UPGRADE),--upgrade)

## make clean          remove the environments, caches, the tiny model and all runs
clean:
	rm -rf .venv .venv-gpu .venv-trl .tools data/tiny runs .pytest_cache .mypy_cache .ruff_cache .hypothesis build *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
