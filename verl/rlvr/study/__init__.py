"""A study: every method × seed of a specification trained, evaluated along the way, and compared at the same pass@1.

    scripts/study studies/tiny.yaml [--dry-run] [--quick]        (make paper, make methods, make real)

:mod:`rlvr.study.spec` says what a specification holds, ``studies/`` has some. It drives launchers and ``passk.generate`` as
programs of their own, so what a study does can be done by hand, one command at a time. Nothing of the project imports it.
"""
