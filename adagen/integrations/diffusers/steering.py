"""A policy in a pipeline of diffusers, and out of it again.

    with steer(pipeline, policy):
        images = pipeline(prompts, num_inference_steps=32).images

A scheduler of our own has the solver. A hook before the network gives every sample a time of its
own; one on the deepest block takes the policy's features; one after the network guides every
sample by a scale of its own. Modular pipelines guide by a guider of ours instead.
"""

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import torch

from adagen.integrations.diffusers.components import (
    Current,
    PolicyGuidance,
    PolicyScheduler,
    require_all_steps,
)
from adagen.integrations.diffusers.pipelines import Pipeline, recognised
from adagen.integrations.diffusers.prompts import clip_skip_hook
from adagen.integrations.diffusers.settings import steering_of
from adagen.integrations.diffusers.trajectory import Steering, Trajectory
from adagen.policy.pretrained import PretrainedPolicy
from adagen.runtime.errors import AdagenError
from adagen.runtime.files import difference
from adagen.sampling.sampler import Sampler


def steer(
    pipeline: Any, policy: PretrainedPolicy | Sampler | Mapping[str, Any] | str | Path
) -> "Steered":
    """Put a policy into a pipeline.

    Call the pipeline as ever, with the policy's number of steps and with guidance switched on. Its
    `guidance_scale`, which the policy chooses, has no other meaning then.

    Args:
        pipeline: a StableDiffusionPipeline, StableDiffusionXLPipeline, DiTPipeline, or modular
            pipeline of SDXL.
        policy: a policy, or a blend of two, as `PretrainedPolicy` or `Sampler`; the folder of one;
            or a table of settings, {"time": T + 1 numbers, "guidance": T + 1 numbers or one}, or
            the JSON file of one.

    Returns:
        A context that removes the policy when it is left; or call `remove`.

    Raises:
        AdagenError: the pipeline can't be steered, the policy was made for another one, or the
            table makes no sense.
    """
    if isinstance(getattr(pipeline, "scheduler", None), PolicyScheduler):
        raise AdagenError(
            "the pipeline is under a policy already: call `remove` on what `steer` returned, or "
            "leave its `with` block, before you put in another."
        )
    parts = recognised(pipeline)
    steering = steering_of(policy)
    made_for = steering.made_for or {}
    # Folders of older versions say less.
    found = {key: value for key, value in parts.description.items() if key in made_for}
    if words := difference(dict(made_for), found):
        raise AdagenError(
            f"the policy was made for another pipeline than this {parts.name}: {words}. Give a "
            "policy that was trained for this network, or export the other's mean schedule and "
            "give that as a table."
        )
    return Steered(pipeline, parts, steering=steering)


class Steered:
    """A pipeline under a policy.

    Attributes:
        pipeline: the pipeline.
        actions: names, hand-made schedule and number of calls of the policy's actions.
    """

    def __init__(self, pipeline: Any, parts: Pipeline, *, steering: Steering) -> None:
        self.pipeline, self.actions = pipeline, steering.actions
        self._parts = parts

        def start() -> Trajectory:
            return Trajectory(
                steering,
                parts.schedule,
                grid=parts.grid,
                width=parts.width,
                channels=parts.channels,
            )

        self._current = Current(start, steering.steps)
        old = pipeline.scheduler
        scheduler = PolicyScheduler(
            num_train_timesteps=old.config.num_train_timesteps,
            prediction_type=old.config.get("prediction_type", "epsilon"),
        )
        scheduler.current = self._current
        self._replaced = {"scheduler": old}
        new: dict[str, Any] = {"scheduler": scheduler}
        self._guider: PolicyGuidance | None = None
        if parts.order == "apart":
            self._guider = new["guider"] = PolicyGuidance()
            self._guider.current = self._current
            self._replaced["guider"] = pipeline.guider
        self._put(new)
        self._hooks = [
            parts.network.register_forward_pre_hook(self._before, with_kwargs=True),
            parts.deepest.register_forward_hook(self._deepest),
        ]
        if parts.order != "apart":
            self._hooks.append(parts.network.register_forward_hook(self._after))
        if skipping := clip_skip_hook(pipeline):
            self._hooks.append(skipping)

    def remove(self) -> None:
        """Take the policy out and leave the pipeline as it was. Nothing happens a second time."""
        for hook in self._hooks:
            hook.remove()
        if self._hooks:
            self._put(self._replaced)
        self._hooks = []

    def __enter__(self) -> Self:
        if not self._hooks:
            raise AdagenError(
                "the policy was removed from this pipeline, which would run without it: call "
                "`steer` again."
            )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.remove()

    def _put(self, components: Mapping[str, Any]) -> None:
        """Replace components of the pipeline."""
        if self._parts.order == "apart":
            self.pipeline.update_components(**components)
            return
        for name, component in components.items():
            setattr(self.pipeline, name, component)

    def _before(self, network: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Give every sample its own time."""
        x, trajectory = args[0], self._current()
        if self._guider is not None:
            self._guider.latents = x
        copies = 1 if self._guider is not None else 2
        if copies == 2 and trajectory.at is None:
            self._require_both_passes(kwargs)
        elif trajectory.at is not None and len(x) != (rows := copies * len(trajectory.at.tau)):
            raise AdagenError(
                f"the network was called with {len(x)} latents after {rows}, but under a "
                "policy all steps have the same samples and both passes: leave guidance switched "
                "on, in callbacks too."
            )
        times = trajectory.times(x[: len(x) // copies]).repeat(copies)
        if "timestep" in kwargs:
            return args, {**kwargs, "timestep": times}
        return (x, times, *args[2:]), kwargs

    def _deepest(self, block: Any, args: tuple[Any, ...], output: Any) -> None:
        """Take the features of the pass with the prompts."""
        output = output[0] if isinstance(output, tuple) else output
        if self._guider is None:
            self._current().saw(output[self._prompted(len(output))])
        elif self._guider.is_conditional:
            self._current().saw(output)

    def _after(self, network: Any, args: tuple[Any, ...], output: Any) -> Any:
        """Put the guided output in the place of both passes, so that guiding changes nothing."""
        x = args[0]
        both = output[0]
        prompted = self._prompted(len(both))
        null = self._prompted(len(both), other=True)
        latents = x.shape[1]
        guided = self._current().guided(
            x[prompted], both[prompted, :latents], null=both[null, :latents]
        )
        # Learned variances, where there are any, are unused.
        both = torch.cat([guided.repeat(2, 1, 1, 1), both[:, latents:]], dim=1)
        if isinstance(output, tuple):
            return (both, *output[1:])
        return type(output)(sample=both)

    def _prompted(self, rows: int, *, other: bool = False) -> slice:
        """The rows of a batch of both passes that have the prompts; or the other rows."""
        first = (self._parts.order == "prompt first") != other
        return slice(None, rows // 2) if first else slice(rows // 2, None)

    def _require_both_passes(self, kwargs: Mapping[str, Any]) -> None:
        """Refuse a call without guidance or of fewer steps, or with what the solver doesn't do."""
        if self._parts.name == "DiTPipeline":
            labels = kwargs["class_labels"]
            null = self._parts.network.config.num_embeds_ada_norm
            guided = len(labels) % 2 == 0 and bool((labels[len(labels) // 2 :] == null).all())
        else:
            guided = self.pipeline.do_classifier_free_guidance
            require_all_steps(self.pipeline.num_timesteps, self._current.steps)
            if getattr(self.pipeline, "guidance_rescale", 0):
                raise AdagenError(
                    "guidance_rescale is above 0, but policies are trained with plain guidance: "
                    "leave it out, or remove the policy."
                )
        if not guided:
            raise AdagenError(
                "the pipeline was called without guidance, so that its network makes no pass "
                "without prompts, which the policy's own scales need: call it with a "
                "guidance_scale above 1. Which one makes no difference."
            )
