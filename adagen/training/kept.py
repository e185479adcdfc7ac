"""The policies of a training that may be its result, and the choice among them."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from adagen.config import FINALISTS, Training
from adagen.rewards.base import Reward
from adagen.runtime.progress import progress
from adagen.training.log import Record, Validation, validations
from adagen.training.validation import Validator

START = -1
"""Stands for the number of the update of the policy that a training begins with."""


def out_of_patience(records: Sequence[Record], patience: int) -> bool:
    """True if none of the last `patience` validations of a training log found a lower distance.

    That at the start counts as one to be lower than. 0 has patience without end.
    """
    distances = [record["validation_fid"] for record in validations(records)]
    best, recent = distances[:-patience], distances[-patience:]
    return patience > 0 and bool(best) and min(recent) >= min(best)


class KeptPolicies:
    """The nearest policies so far, with their value networks and what rewarded them.

    A reward that is hacked late in a run must not cost what was learnt before, and one that leads
    away at once must not cost the schedule that the training began with: it is one of them.

    Attributes:
        states: one for each policy, the nearest first: number of its update from 0 (or `START`),
            validation, weights, and state of the reward.
        judged: whether the distance decides. Where it does not, the last policy is kept.
    """

    def __init__(
        self,
        actor: nn.Module,
        critic: nn.Module,
        *,
        reward: Reward,
        settings: Training,
        judged: bool,
    ) -> None:
        """No policy yet; networks and reward are those of the training, as they change."""
        self.actor, self.critic, self.reward = actor, critic, reward
        self.settings, self.judged = settings, judged
        self.states: list[dict[str, Any]] = []

    def last_update(self, records: Sequence[Record]) -> int:
        """The number of updates that the training has, as far as its log tells."""
        ended = self.judged and out_of_patience(records, self.settings.patience)
        return len(records) if ended else self.settings.updates

    def weights(self) -> dict[str, Any]:
        """The present weights of the policy and of its value network, which go on changing."""
        return {"actor": self.actor.state_dict(), "critic": self.critic.state_dict()}

    def offer(
        self,
        update: int,
        validation: Validation | None,
        *,
        weights: Mapping[str, Any] | None = None,
    ) -> None:
        """Keep a policy if it is among the nearest; without a validation that judges, it is.

        Args:
            update: number of its update.
            validation: what was measured of it.
            weights: its `weights`; by default the present ones.
        """
        judgement = validation if self.judged else None
        candidate: dict[str, Any] = {
            "update": update,
            "validation": judgement and vars(judgement),
            **(weights or self.weights()),
            "reward": self.reward.judging_state(),
        }
        nearest = [candidate]
        if judgement:
            again = self.settings.final_samples > self.settings.validate_samples
            most = FINALISTS if again else 1
            nearest = sorted([candidate, *self.states], key=lambda kept: kept["validation"]["fid"])
            nearest = nearest[:most]
        self.states = [copy.deepcopy(state) if state is candidate else state for state in nearest]

    def choose(self, validator: Validator, records: Sequence[Record], *, name: str) -> None:
        """Measure all on more samples, and keep the nearest alone.

        Args:
            validator: measures them.
            records: the training log, whose fields `final_fid` and `final_fid_label_free` (or
                `start_final_fid`) are filled in.
            name: names the training in the progress bar.
        """
        distances = []
        for state in progress(self.states, f"{name}, final", total=len(self.states)):
            self.load(state)
            primary, label_free = validator.final(self.actor, Validation(**state["validation"]))
            if state["update"] == START:
                records[0]["start_final_fid"] = primary
            else:
                final = {"final_fid": primary, "final_fid_label_free": label_free}
                records[state["update"]].update(final)
            distances.append(primary)
        self.states = [self.states[distances.index(min(distances))]]

    def load(self, state: Mapping[str, Any]) -> None:
        """Put the weights of a policy and of its value network into those of the training."""
        self.actor.load_state_dict(state["actor"])
        self.critic.load_state_dict(state["critic"])
