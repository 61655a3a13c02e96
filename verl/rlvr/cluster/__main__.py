"""``python3 -m rlvr.cluster``: see :mod:`rlvr.cluster.nodes`."""

import sys

from rlvr.cluster.nodes import main

sys.exit(main())
