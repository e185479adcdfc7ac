"""The policies: hand-made, constant table, network, network with a table, blend.

A policy maps features and call index to raw action logits; zeros stand for the hand-made schedule.
`generators/actions.py` says what the numbers mean, `sampling/rollout.py` has the loop.
"""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any, Protocol, Self

import torch
from torch import nn
from torch.nn import functional as F

from adagen.config import PolicyNetworkSize
from adagen.policy.layers import AdaptiveLayerNorm, StepEmbedder
from adagen.runtime.errors import AdagenError

SURE = 1e3
"""A logit that leaves no doubt."""


class Policy(Protocol):
    """A function that schedules a generator."""

    def __call__(self, features: torch.Tensor, call: torch.Tensor) -> torch.Tensor:
        """Raw action logits for a batch of samples.

        Args:
            features: (B, N, F) what the policy sees of the samples, on a row-major grid of N
                positions: the generator's features, unless `policy.input` says otherwise.
            call: (B,) int64 index of the policy call.

        Returns:
            (B, K) raw outputs.
        """
        ...


class HandMade:
    """The policy that always returns zeros, which stand for the hand-made schedule."""

    def __init__(self, actions: int) -> None:
        self.actions = actions

    def __call__(self, features: torch.Tensor, call: torch.Tensor) -> torch.Tensor:
        """Return (B, K) zeros for a batch of B samples."""
        return features.new_zeros(len(features), self.actions)


class ConstantTable(nn.Module):
    """A (T, K) table of raw outputs: a schedule that is the same for every sample."""

    def __init__(self, calls: int, actions: int) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.zeros(calls, actions))

    @classmethod
    def of(cls, raw: torch.Tensor) -> Self:
        """A frozen table of the raw outputs (T, K)."""
        table = cls(*raw.shape)
        table.table.data.copy_(raw)
        return table.requires_grad_(False)

    def forward(self, features: torch.Tensor, call: torch.Tensor) -> torch.Tensor:
        """(B, K) rows of the table; the features are ignored, `call` as in `PolicyNetwork`."""
        return self.table[call].repeat_interleave(len(features) // len(call), 0)


class PolicyNetwork(nn.Module):
    """The paper's policy network (docs/method.md, section 1), for any feature grid and width.

    An untrained network returns zeros. A network that doesn't see the step takes every call for
    the first. Parameters are named as in the released policies, whose size is grid (16, 16),
    hidden 512, pointwise 128, first 1024, second 512.

    Attributes:
        known: (T, M) all numbers that `modulations` returns for T calls, where they were computed
            beforehand.
    """

    known: torch.Tensor | None = None

    def __init__(
        self,
        feature_width: int,
        grid: tuple[int, int],
        *,
        actions: int,
        size: PolicyNetworkSize,
        sees_step: bool = True,
    ) -> None:
        super().__init__()
        self.grid, self.sees_step = grid, sees_step
        hidden = size.hidden
        if feature_width != hidden:
            self.x_embedder = nn.Linear(feature_width, hidden)
        self.t_embedder = StepEmbedder(hidden)
        self.adaLN1 = AdaptiveLayerNorm(hidden, hidden)
        self.dw_conv = nn.Conv2d(hidden, hidden, 3, stride=2, padding=1, groups=hidden)
        self.pw_conv = nn.Conv2d(hidden, size.pointwise, 1)
        cells = ((grid[0] + 1) // 2) * ((grid[1] + 1) // 2)
        self.linear1 = nn.Linear(size.pointwise * cells, size.first)
        self.adaLN2 = AdaptiveLayerNorm(size.first, hidden)
        self.linear2 = nn.Linear(size.first, size.second)
        self.adaLN3 = AdaptiveLayerNorm(size.second, hidden)
        self.linear3 = nn.Linear(size.second, actions)
        self.act = nn.GELU()
        self._initialise()

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)
        for index in (0, 2):
            nn.init.normal_(self.t_embedder.mlp[index].weight, std=0.02)  # type: ignore[arg-type]
        for norm in (self.adaLN1, self.adaLN2, self.adaLN3):
            nn.init.zeros_(norm.adaLN_modulation[1].weight)  # type: ignore[arg-type]
        nn.init.zeros_(self.linear3.weight)

    def forward(self, features: torch.Tensor, call: torch.Tensor) -> torch.Tensor:
        """Features (B, N, F) and call indices (B,) to raw outputs (B, K).

        Or (G,) call indices, each of B / G consecutive rows: each is embedded once, and outputs
        are equal up to rounding.
        """
        batch, call, features = len(features), _once(call), _once(features)
        first, second, third = self.modulations(call)
        x = self.x_embedder(features) if hasattr(self, "x_embedder") else features
        x = self.adaLN1(x, *first)  # (B, N, hidden)
        x = x.transpose(1, 2).unflatten(2, self.grid)  # (B, hidden, H, W)
        # Contiguous, as the backward pass of an activation is slow where layouts differ.
        x = self.act(self.pw_conv(self.act(self.dw_conv(x))).contiguous()).flatten(1)
        x = x.expand(batch, -1)
        x = self.act(self.adaLN2(self.linear1(x), *second))
        x = self.act(self.adaLN3(self.linear2(x), *third))
        raw: torch.Tensor = self.linear3(x)
        return raw

    def modulations(self, call: torch.Tensor) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Shift and gain (G, width) of each of the three norms, at calls (G,).

        No feature has a part in them.
        """
        norms = (self.adaLN1, self.adaLN2, self.adaLN3)
        if self.known is not None and not torch.is_grad_enabled():
            widths = [norm.width for norm in norms for _ in range(2)]
            parts = iter(self.known.index_select(0, call).split(widths, 1))
            return list(zip(parts, parts, strict=True))
        c = self.t_embedder(call if self.sees_step else torch.zeros_like(call))
        return [norm.modulation(c) for norm in norms]

    @torch.no_grad()
    def know(self, calls: int) -> None:
        """Compute beforehand what follows from the call alone; parameters must stay as they are.

        Outputs of calls that all samples share are equal to the bit. Nothing of it is used where
        gradients are taken.
        """
        self.known = None
        # One call at a time, as a matrix product of several rows is rounded otherwise.
        each = torch.arange(calls, device=self.linear3.weight.device).split(1)
        rows = [torch.cat([x for pair in self.modulations(call) for x in pair], 1) for call in each]
        self.known = torch.cat(rows)


def _once(x: torch.Tensor) -> torch.Tensor:
    """Return (1, ...) of (B, ...) that was expanded from it: what all samples have in common."""
    return x[:1] if x.stride(0) == 0 else x


class TabledNetwork(nn.Module):
    """The sum of a network and a table, and of what a condition adds; all start at zero.

    The table learns the schedule, offsets what each condition needs, the network what single
    samples need. They are separate so that each can have its own learning rate.

    Attributes:
        offsets: (P, K) linear map from the vector of a condition to what it adds at every call; of
            classes, a row for each. None where conditions add nothing.
    """

    offsets: nn.Parameter | None

    def __init__(
        self, network: PolicyNetwork, calls: int, *, actions: int, vector_width: int = 0
    ) -> None:
        """An untrained policy.

        Args:
            network: what is added to the table.
            calls: number of policy calls.
            actions: number of actions.
            vector_width: width P of the conditions' vectors; 0 for no offsets.
        """
        super().__init__()
        self.network, self.table = network, ConstantTable(calls, actions)
        offsets = nn.Parameter(torch.zeros(vector_width, actions)) if vector_width else None
        self.register_parameter("offsets", offsets)

    def forward(self, features: torch.Tensor, call: torch.Tensor) -> torch.Tensor:
        """Features (B, N, F) and call indices (B,) to raw outputs (B, K).

        Raises:
            AdagenError: conditions add something, and nothing here tells those of the samples.
        """
        if self.offsets is not None:
            raise AdagenError(
                "this policy depends on the condition, which is not known here: sample with "
                "`adagen sample` or `adagen.load`."
            )
        return self._shared(features, call)

    def for_vectors(self, vectors: torch.Tensor) -> Policy:
        """The policy for a batch of samples whose conditions have these vectors (B, P).

        Several calls of the batch may be asked for at once, one after the other.
        """
        assert self.offsets is not None
        added = normalised(vectors) @ self.offsets

        def policy(features: torch.Tensor, call: torch.Tensor) -> torch.Tensor:
            return self._shared(features, call) + added.repeat(len(features) // len(added), 1)

        return policy

    def _shared(self, features: torch.Tensor, call: torch.Tensor) -> torch.Tensor:
        """(B, K) raw outputs without what conditions add."""
        raw: torch.Tensor = self.network(features, call) + self.table(features, call)
        return raw


def normalised(vectors: torch.Tensor) -> torch.Tensor:
    """Vectors of conditions (B, P), each divided by the sum of its magnitudes.

    So a step of Adam moves what they add by the learning rate at most. Those of classes stay as
    they are.
    """
    return F.normalize(vectors, p=1, dim=1)


def learning_rates(
    actor: nn.Module, rate: float, *, table_rate: float, condition_rate: float = 0.0
) -> list[dict[str, Any]]:
    """Parameter groups of an actor, each with its learning rate at the start as `scale`.

    Args:
        actor: the policy.
        rate: of a network, or of an actor that is a table alone.
        table_rate: of the table beside a network.
        condition_rate: of the offsets beside it.
    """
    if not isinstance(actor, TabledNetwork):
        return [{"params": list(actor.parameters()), "scale": rate}]
    parts = [(actor.network.parameters(), rate), (actor.table.parameters(), table_rate)]
    groups = [{"params": list(parameters), "scale": scale} for parameters, scale in parts]
    if actor.offsets is not None:
        groups.append({"params": [actor.offsets], "scale": condition_rate})
    return groups


@dataclass(frozen=True)
class Decided:
    """A policy of samples that may stop (`generators/stopping.py`): at once, or never."""

    policy: Policy
    stops: bool

    def __call__(self, features: torch.Tensor, call: torch.Tensor) -> torch.Tensor:
        """(B, K) raw outputs of the policy, the last of which is certain."""
        raw = self.policy(features, call)
        sure = torch.full_like(raw[:, -1:], SURE if self.stops else -SURE)
        return torch.cat([raw[:, :-1], sure], 1)

    def of(self, change: Callable[[Policy], Policy]) -> Self:
        """The same of another policy."""
        return replace(self, policy=change(self.policy))


class Blend:
    """The fidelity-diversity dial: (1 - lambda) raw_diverse + lambda raw_faithful."""

    def __init__(self, diverse: Policy, faithful: Policy, *, fidelity: float) -> None:
        """Blend two policies of one experiment, which see the same of a sample.

        Args:
            diverse: decides alone where lambda is 0.
            faithful: decides alone where lambda is 1.
            fidelity: lambda.

        Raises:
            AdagenError: lambda is not in [0, 1].
        """
        try:
            inside = 0 <= fidelity <= 1
        except TypeError:
            inside = False
        if not inside:
            raise AdagenError(
                f"fidelity is {fidelity!r}: give a number from 0, the diverse policy alone, to 1, "
                "the faithful one."
            )
        self.diverse, self.faithful, self.fidelity = diverse, faithful, fidelity

    def of(self, change: Callable[[Policy], Policy]) -> Self:
        """The same blend of two other policies."""
        return type(self)(change(self.diverse), change(self.faithful), fidelity=self.fidelity)

    def __call__(self, features: torch.Tensor, call: torch.Tensor) -> torch.Tensor:
        """(B, K) blended raw outputs; at lambda 0 and 1 they equal one policy's to the bit."""
        return torch.lerp(
            self.diverse(features, call), self.faithful(features, call), self.fidelity
        )


def for_calls(policy: Policy, calls: int) -> Policy:
    """The policy for many batches: what its networks compute of the call alone is computed here.

    Its networks are copied, so that nothing of it changes with them.
    """
    if isinstance(policy, Blend | Decided):
        return policy.of(lambda part: for_calls(part, calls))
    network = policy.network if isinstance(policy, TabledNetwork) else policy
    if type(network) is not PolicyNetwork:  # another may do anything with a call
        return policy
    prepared = deepcopy(policy)
    copied = prepared.network if isinstance(prepared, TabledNetwork) else prepared
    assert isinstance(copied, PolicyNetwork)
    copied.know(calls)
    return prepared
