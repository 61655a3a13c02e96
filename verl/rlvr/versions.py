"""Which versions made a result: what a run, an evaluation and an export write down."""

import platform

PACKAGES = ("rlvr-decomposed", "verl", "vllm", "torch", "transformers", "math-verify")


def versions() -> dict[str, str]:
    """Of Python and of the packages that decide a result; ``not installed`` where one is missing."""
    import importlib.metadata  # slow to import, and most readers do not need it

    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found
