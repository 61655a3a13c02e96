"""What happens before a run: the dry run, the memory estimate and the plan.

    DRY_RUN=1 bash run_qwen2.5-math-7b_psr_nsr.sh [key=value …]

Only :mod:`dry_run` and :mod:`validate` import an engine. Deliberately left out: anything that needs a GPU, the network or a
model's weights.
"""
