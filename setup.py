"""For `python setup.py` and old habits of `pip install -e .`; everything is in pyproject.toml."""

from setuptools import setup

setup()
