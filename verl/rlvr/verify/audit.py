"""python -m rlvr.verify.audit FILE [FILE …]: every gold of a data file against the grader (:mod:`rlvr.data.audit`)."""

import sys

if __name__ == "__main__":
    from rlvr.data.audit import main

    sys.exit(main())
