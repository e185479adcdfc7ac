"""Schedules that depend on the class alone: a table, and an offset for each group of conditions.

A policy is shown no label, so the rollout binds such a schedule to the labels of its batch.
"""

from typing import Self

import torch
from torch import nn

from adagen.generators.conditions import Conditions, nearest
from adagen.policy.networks import Blend, Decided, Policy, TabledNetwork
from adagen.runtime.errors import AdagenError


class ClassTable(nn.Module):
    """Raw outputs table[t, k] + offsets[g, k] for samples of group g.

    The group of a condition is that of the centre which is nearest to its vector: so prompts that
    nobody has seen have one too.
    """

    centres: torch.Tensor

    def __init__(self, calls: int, actions: int, *, groups: int, width: int) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.zeros(calls, actions))
        self.offsets = nn.Parameter(torch.zeros(groups, actions))
        self.register_buffer("centres", torch.zeros(groups, width))

    @classmethod
    def of(cls, raw: torch.Tensor, offsets: torch.Tensor, *, centres: torch.Tensor) -> Self:
        """A frozen schedule of a table (T, K), offsets (G, K) and centres of the groups (G, P)."""
        policy = cls(*raw.shape, groups=len(offsets), width=centres.shape[1])
        policy.table.data.copy_(raw)
        policy.offsets.data.copy_(offsets)
        policy.centres.copy_(centres)
        return policy.requires_grad_(False)

    def for_vectors(self, vectors: torch.Tensor) -> Policy:
        """The policy for a batch of samples whose conditions have these vectors (B, P)."""
        offsets = self.offsets[nearest(vectors, self.centres)]

        def policy(features: torch.Tensor, call: torch.Tensor) -> torch.Tensor:
            return self.table[call] + offsets

        return policy

    def forward(self, features: torch.Tensor, call: torch.Tensor) -> torch.Tensor:
        """Refuse to answer, as nothing here tells the classes of the samples.

        Raises:
            AdagenError: always.
        """
        raise AdagenError(
            "a schedule of the method 'tuned_class' depends on the class, which is not known here: "
            "sample with `adagen sample` or `adagen.load`, or take one of another method."
        )


def for_labels(policy: Policy, labels: torch.Tensor, *, conditions: Conditions) -> Policy:
    """The policy for samples of labels (B,): one that depends on the class is bound to them."""
    if isinstance(policy, ClassTable) or (
        isinstance(policy, TabledNetwork) and policy.offsets is not None
    ):
        return policy.for_vectors(conditions.vectors(labels))
    if isinstance(policy, Blend | Decided):
        return policy.of(lambda part: for_labels(part, labels, conditions=conditions))
    return policy
