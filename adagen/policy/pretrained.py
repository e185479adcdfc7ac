"""Policies as folders to publish: safetensors, a configuration in JSON, and a model card.

A folder knows all that is needed to ask its policy: unlike a policy file, it needs no generator.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal, Self

import torch
from pydantic import (
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
    model_validator,
)
from torch import nn

from adagen.config import Method, PolicyInput, PolicyNetworkSize, PolicySettings
from adagen.config.base import Model
from adagen.config.values import Side, Width
from adagen.generators.actions import Actions
from adagen.generators.base import Generator
from adagen.generators.flow import StraightPath
from adagen.generators.reloading import build_empty, fill
from adagen.generators.stopping import Stopping
from adagen.policy.by_class import ClassTable
from adagen.policy.card import Card, card_text
from adagen.policy.compatibility import solver_description
from adagen.policy.files import KIND, OFFSETS, PolicyFile, build_actor, part, save_policy
from adagen.policy.networks import Blend, Policy, TabledNetwork
from adagen.runtime.arguments import require_path
from adagen.runtime.atomic import move_folder, temporary_folder
from adagen.runtime.documents import read_json
from adagen.runtime.errors import AdagenError
from adagen.runtime.files import load_tensors, write_json
from adagen.runtime.hashing import file_hash, reading
from adagen.runtime.names import unknown_key
from adagen.runtime.outputs import Kind, Output, check_outputs

POLICY = "policy.safetensors"
"""The policy file in such a folder, which `adagen.load` and the commands read, too."""
CONFIG = "config.json"
README = "README.md"
BOUND = "policy_sha256"
"""Key of the policy file's hash in `config.json`, so that neither is taken for another's."""


class ActionTable(Model):
    """The actions that a policy steers."""

    names: tuple[str, ...]
    """Names, in the order of the policy's outputs."""
    handmade: tuple[tuple[float, ...], ...]
    """The hand-made schedule, which a policy's zeros stand for: a row for every call."""
    smoothing: float = Field(ge=0, lt=1)
    """Constant s of the moving average over the logits."""
    ordered: tuple[str, ...] = ()
    """Actions that are shares of what is left, so that they can't turn back."""

    @classmethod
    def of(cls, actions: Actions) -> Self:
        """The actions of a generator."""
        schedule = tuple(map(tuple, actions.handmade.tolist()))
        about = {"smoothing": actions.smoothing, "ordered": actions.ordered}
        return cls(names=actions.names, handmade=schedule, **about)

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if not self.handmade or any(len(row) != len(self.names) for row in self.handmade):
            raise ValueError("handmade has a number for each action at every call")
        if unknown := set(self.ordered) - set(self.names):
            raise ValueError(f"ordered has {sorted(unknown)}, which are no actions of names")
        return self

    @model_serializer(mode="wrap")
    def _written(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out what older versions don't know, where it says nothing."""
        written: dict[str, Any] = write(self)
        return {key: value for key, value in written.items() if key != "ordered" or value}


class Seen(Model):
    """The input of a policy."""

    input: PolicyInput
    """The part of a sample that it sees."""
    step: Literal["seen", "hidden"]
    """`seen` if it sees the step."""
    grid: tuple[Side, Side]
    """Rows and columns of its input."""
    width: Width
    """Channels of its input."""


class PolicyConfig(Model):
    """The content of `config.json`."""

    format: Literal[1] = 1
    """Version of this format."""
    method: Method
    """Method that the policy was made as."""
    tabled: Literal["no", "yes"] = "no"
    """`yes` if a table stands beside the network."""
    size: PolicyNetworkSize
    """Size of the network."""
    seen: Seen
    """Input of the policy."""
    actions: ActionTable
    """Outputs of the policy."""
    generator: str
    """Class of the generator that it was made for."""
    solver: dict[str, Any] | None = None
    """Schedule, prediction and features of that generator, if it is a solver's."""
    card: Card = Card()
    """Content of the model card."""


@dataclass(frozen=True, eq=False)
class PretrainedPolicy:
    """A policy that knows its actions.

    Attributes:
        policy: maps what it sees and the call's index to raw action logits.
        config: all that its folder says of it.
        metadata: the description in its policy file; None for a blend, which has no file.
    """

    policy: Policy
    config: PolicyConfig
    metadata: Mapping[str, Any] | None = None

    def __call__(self, features: torch.Tensor, call: torch.Tensor) -> torch.Tensor:
        """Return the raw outputs (B, K) for features (B, N, F) at calls (B,)."""
        return self.policy(features, call)

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> Self:
        """Read a folder that `save_pretrained` wrote.

        Raises:
            AdagenError: a file is missing or damaged, or was written by another version.
        """
        folder = require_path("folder", folder, content="a folder that `save_pretrained` wrote")
        if not (folder / CONFIG).exists():
            raise AdagenError(
                f"{folder} is no folder of a policy: it has no {CONFIG}. Give the folder that "
                "`save_pretrained` wrote; of one that was published, download it first."
            )
        content = read_json(folder / CONFIG)
        bound = content.pop(BOUND, None) if isinstance(content, dict) else None
        try:
            config = PolicyConfig.model_validate(content)
        except ValidationError as error:
            key = ".".join(map(str, (first := error.errors()[0])["loc"])) or "the file"
            raise AdagenError(
                f"{folder / CONFIG} can't be read: {key}: {first['msg']}. It was changed, or "
                "written by another version of adagen: download it again, or update adagen."
            ) from None
        with reading(folder / POLICY) as file:
            tensors, metadata = load_tensors(folder / POLICY, KIND)
        if bound not in (None, file.hash):
            raise AdagenError(_other(folder / POLICY))
        policy = _built(config, part(tensors, "actor."), path=folder / POLICY)
        return cls(policy, config, metadata)

    def save_pretrained(self, folder: str | Path) -> None:
        """Write the policy, its configuration and its model card. Another policy is replaced.

        Raises:
            AdagenError: it is a blend, which has no file; the folder holds something else than a
                policy; or it can't be written.
        """
        folder = require_path("folder", folder, content="the folder to write")
        folder = Path(os.path.abspath(folder))  # "." has no name
        check_outputs([Output("folder", folder, Kind.REPLACED)], [])
        _require_replaceable(folder)
        if self.metadata is None or not isinstance(self.policy, nn.Module):
            raise AdagenError(
                f"{folder} is not written: only a policy that was trained, searched for or loaded "
                "can be saved. Of a blend save both policies, and blend them again."
            )
        with temporary_folder(folder) as made:
            save_policy(
                made / POLICY,
                self.config.method,
                actor=self.policy,
                critic=None,
                size=self.config.size,
                metadata={k: v for k, v in self.metadata.items() if k not in ("actor", "size")},
            )
            bound = {BOUND: file_hash(made / POLICY)}
            write_json(made / CONFIG, {**self.config.model_dump(mode="json"), **bound})
            (made / README).write_text(self.card(), encoding="utf-8")
            move_folder(made, folder)

    def card(self) -> str:
        """Return the model card, in Markdown."""
        config, actions = self.config, self.config.actions
        schedule = (config.solver or {}).get("schedule")
        return card_text(
            config.card,
            steps=len(actions.handmade) - (config.solver is not None),
            actions=actions.names,
            generator=config.generator,
            method=config.method,
            pipeline=schedule not in (None, StraightPath.__name__),  # none of a flow is steered
        )

    def blend(self, other: "PretrainedPolicy", fidelity: float) -> Self:
        """The dial: raw outputs are (1 - fidelity) this policy's + fidelity the other's.

        Raises:
            AdagenError: the other steers something else, or `fidelity` is not in [0, 1].
        """
        same = ("seen", "actions", "solver", "generator")
        if not isinstance(other, PretrainedPolicy) or any(
            getattr(self.config, key) != getattr(other.config, key) for key in same
        ):
            raise AdagenError(
                "two policies can be blended where both steer the same generator, with the same "
                "steps, hand-made schedule, inputs and `times`, which these two do not: give two "
                "policies of one experiment."
            )
        blended = Blend(self.policy, other.policy, fidelity=fidelity)
        return replace(self, policy=blended, metadata=None)


def pretrained(
    generator: Generator[Any],
    policy: Policy,
    *,
    file: PolicyFile | None,
    card: Mapping[str, Any],
) -> PretrainedPolicy:
    """Make a policy of a generator ready to be saved as a folder.

    Args:
        generator: what it steers.
        policy: its network or table.
        file: what its file says.
        card: content of the model card.

    Raises:
        AdagenError: it has no file, or the card makes no sense.
    """
    if file is None or not isinstance(policy, nn.Module):
        raise AdagenError(
            "only a policy that was trained, searched for or loaded can be published: of a blend "
            "take both policies, and blend them again."
        )
    if isinstance(policy, ClassTable) or OFFSETS in policy.state_dict():
        raise AdagenError(
            f"this policy of method {file.metadata['method']!r} needs the classes of a data set, "
            "which a folder doesn't hold: publish one that knows no conditions."
        )
    if isinstance(generator, Stopping):
        raise AdagenError("pipelines don't end samples early: publish a policy of another method.")
    try:
        stated = Card.model_validate(dict(card))
    except ValidationError as error:
        key = ".".join(map(str, (first := error.errors()[0])["loc"]))
        if first["type"] == "extra_forbidden" and key in card:
            see = "docs/diffusers.md, Publish a policy"
            raise AdagenError(
                unknown_key("the model card", key, known=Card.model_fields, see=see)
            ) from None
        raise AdagenError(
            f"the model card can't be written: {key}: {first['msg']}. It has "
            f"{', '.join(Card.model_fields)}."
        ) from None
    config = PolicyConfig(
        method=file.metadata["method"],
        tabled="yes" if isinstance(policy, TabledNetwork) else "no",
        size=PolicyNetworkSize(**file.metadata["size"]),
        seen=Seen(
            input=generator.policy_input,
            step=file.metadata["policy"]["step"],
            grid=generator.grid,
            width=generator.seen_width,
        ),
        actions=ActionTable.of(generator.actions),
        generator=type(generator).__name__,
        solver=solver_description(generator),
        card=stated,
    )
    return PretrainedPolicy(policy, config, file.metadata)


def _require_replaceable(folder: Path) -> None:
    """Refuse to replace anything but a policy."""
    found = {path.name for path in folder.iterdir()} if folder.exists() else set()
    others = found - {POLICY, CONFIG, README} or (found if POLICY not in found else None)
    if others:
        raise AdagenError(
            f"{folder} is there already and holds {min(others)}, which is no part of a policy and "
            "would be lost: give a new folder, or an empty one."
        )


def _other(path: Path) -> str:
    return (
        f"{path} does not hold the policy that {CONFIG} beside it describes: one of the two was "
        "replaced. Download the folder again."
    )


def _built(config: PolicyConfig, tensors: dict[str, torch.Tensor], *, path: Path) -> nn.Module:
    """The policy of a folder, in eval mode."""
    seen, actions = config.seen, config.actions
    generator: Any = SimpleNamespace(
        actions=SimpleNamespace(names=actions.names, calls=len(actions.handmade)),
        grid=seen.grid,
        seen_width=seen.width,
    )
    settings = PolicySettings(**config.size.model_dump(), input=seen.input, step=seen.step)
    if config.method == "tuned_class":  # never published, as it needs the classes of a data set
        raise AdagenError(_other(path))
    tabled = config.tabled == "yes"
    actor = build_empty(
        lambda: build_actor(config.method, generator, settings=settings, tabled=tabled)
    )
    expected = {key: tuple(value.shape) for key, value in actor.state_dict().items()}
    if expected != {key: tuple(value.shape) for key, value in tensors.items()}:
        raise AdagenError(_other(path))
    fill(actor, tensors, source=str(path))
    return actor.eval().requires_grad_(False)
