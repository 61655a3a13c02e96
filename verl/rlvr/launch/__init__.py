"""What happens before a run: the dry run, the memory estimate, the plan, and how many CPUs Ray is told of.

    DRY_RUN=1 bash run_qwen2.5-math-7b_psr_nsr.sh [key=value …]

:mod:`shapes`, :mod:`memory`, :mod:`plan`, :mod:`tokens` and :mod:`cpus` import no engine. Deliberately left out: anything that
needs a GPU, the network or a model's weights.
"""
