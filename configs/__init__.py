"""Makes this folder the package ``rlvr.configs`` (by the link verl/rlvr/configs): ``hydra.searchpath=[pkg://rlvr.configs]``."""
