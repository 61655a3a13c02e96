"""The tiny model, task and data that make every part of the project runnable on two CPU cores in minutes.

``python -m rlvr.tiny --output DIR`` writes everything; see :mod:`rlvr.tiny.__main__`.
"""
