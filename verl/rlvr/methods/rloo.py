"""RLOO, REINFORCE leave-one-out: the baseline is the mean reward of the question's other samples.

    A = r − (c − r)/(G − 1) = (r − p) · G/(G − 1)                    (Kool et al. 2019; https://arxiv.org/abs/2402.14740)

Unbiased, since a sample is no part of its own baseline. Where all answers are right, or all wrong, every advantage is 0; so it is
in a group of one, which has no others (verl's ``adv_estimator=rloo`` gives it its reward).
"""

from dataclasses import dataclass

import torch

from rlvr.methods.method import Batch, Method


@dataclass(frozen=True)
class RLOO(Method):
    title = "RLOO"
    on_correct, on_incorrect, paper = "(1 − p)·G/(G − 1)", "−p·G/(G − 1)", "2402.14740"

    def advantages(self, batch: Batch) -> torch.Tensor:
        return (batch.rewards - batch.p) * batch.size / (batch.size - 1).clamp(min=1)
