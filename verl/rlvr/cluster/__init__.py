"""Machines: the nodes of a Ray cluster and what Ray says of them, CPUs and GPUs, and how a run ends where one is lost."""
