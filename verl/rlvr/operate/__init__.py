"""Around a run: the watchdog, the doctor, the check of a GPU. Reads what :mod:`rlvr.training` publishes."""
