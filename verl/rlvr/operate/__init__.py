"""Around a run: the Ray cluster, the watchdog, the doctor. Reads what :mod:`rlvr.training` publishes."""
