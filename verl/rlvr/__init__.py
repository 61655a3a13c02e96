"""RLVR-Decomposed: what positive and negative samples do in reinforcement learning with verifiable rewards.

The part that runs inside verl. Start reading at :mod:`rlvr.plugin`, which lists every name that is registered with verl.
Paper: "The Surprising Effectiveness of Negative Reinforcement in LLM Reasoning", https://arxiv.org/abs/2506.01347.
"""

__version__ = "0.1.0"
