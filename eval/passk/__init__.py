"""passk: what runs after training, and beside it. Sample many answers a question, grade them, estimate pass@k, publish the curve.

    bash eval.sh                       sample, grade and store        passk.generate
    python calculate_metrics …         pass@k with intervals          passk.metrics
    python -m passk.regrade …          grade stored answers again     passk.regrade
    python -m passk.report …           curves and an HTML report      passk.report
    python -m passk.watch …            the page of a run in training  passk.watch

Only :mod:`passk.engine` loads vLLM; only :mod:`passk.ray_cluster` and :mod:`passk.ray_replicas` load Ray, where RAY_ADDRESS is set.
docs/evaluation.md shows the whole path.
"""
