"""NGRPO: the z-score of the rewards of a question plus one virtual reward of 1, so that an all-wrong group is pushed down too.

    A = (r − m) / s,   m and s: mean and unbiased standard deviation of the G + 1 rewards     (https://arxiv.org/abs/2509.18851)

With m = (c + 1)/(G + 1). Assumes that an unsolved question can be solved: where GRPO has no signal on it, every answer gets
−1/√(G + 1). A group of only correct answers has advantage 0 and leaves the step under ``drop``, as in the paper's runs, which
also clip at 0.16 below and 0.24 above (``actor_rollout_ref.actor.clip_ratio_low``, ``clip_ratio_high``).
"""

from dataclasses import dataclass

import torch

from rlvr.methods.method import EPSILON, Batch, Method


@dataclass(frozen=True)
class NGRPO(Method):
    title = "NGRPO"
    on_correct, on_incorrect, paper = "(1 − m)/s", "−m/s, m and s with one reward 1 more", "2509.18851"

    def advantages(self, batch: Batch) -> torch.Tensor:
        mean = (batch.solved + 1) / (batch.size + 1)
        # Σ (r − m)² = (G + 1)·m·(1 − m) for rewards of 0 and 1
        std = ((batch.size + 1) * mean * (1 - mean) / batch.size).sqrt()
        return (batch.rewards - mean) / (std + EPSILON)
