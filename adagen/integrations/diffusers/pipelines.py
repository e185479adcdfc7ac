"""The pipelines of diffusers that a policy can steer, and what a policy has to know of one."""

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, cast, get_args

import diffusers

from adagen.generators.diffusion import VariancePreserving
from adagen.generators.discrete import DiscreteSteps, Prediction
from adagen.generators.noise_schedule import Schedule
from adagen.generators.solver import GUIDED_CHANNELS
from adagen.generators.stable_diffusion import STABLE_DIFFUSION
from adagen.policy.compatibility import described
from adagen.runtime.errors import AdagenError

Order = Literal["null first", "prompt first", "apart"]
"""Places of the two passes in a batch: the null one before or after the other, or two calls."""

SDXL, DIT = "Stable Diffusion XL", "DiT"


class Kind(NamedTuple):
    """A class of pipelines.

    Attributes:
        order: where its two passes are.
        denoiser: kind of its network, as `SolverGenerator.denoiser` has it.
    """

    order: Order
    denoiser: str


KINDS = {
    "StableDiffusionPipeline": Kind("null first", STABLE_DIFFUSION),
    "StableDiffusionXLPipeline": Kind("null first", SDXL),
    "StableDiffusionXLModularPipeline": Kind("apart", SDXL),
    "DiTPipeline": Kind("prompt first", DIT),
}
"""Pipelines that can be steered, by their names in diffusers."""


@dataclass(frozen=True)
class Pipeline:
    """The parts of a pipeline that a policy steers.

    Attributes:
        name: name of its class.
        network: UNet or transformer.
        deepest: the part of it whose output the policy sees.
        schedule: the noise schedule of the network.
        grid: (rows, columns) of the features.
        width: their channels.
        channels: channels of the output that are guided; None for all.
    """

    name: str
    network: Any
    deepest: Any
    schedule: Schedule
    grid: tuple[int, int]
    width: int
    channels: int | None

    @property
    def order(self) -> Order:
        """Places of the two passes."""
        return KINDS[self.name].order

    @property
    def description(self) -> dict[str, Any]:
        """The same as plain data, to compare with what a policy was made for."""
        return described(
            KINDS[self.name].denoiser,
            self.schedule,
            grid=self.grid,
            width=self.width,
            channels=self.channels,
        )


def recognised(pipeline: Any) -> Pipeline:
    """Find the parts of a pipeline.

    Raises:
        AdagenError: it is of a class, or its network was trained in a way, that is not supported.
    """
    found = next((kind for kind in KINDS if isinstance(pipeline, getattr(diffusers, kind))), None)
    if found is None:
        raise AdagenError(
            f"a {type(pipeline).__name__} can't be steered: give one of {', '.join(KINDS)}. Other "
            "pipelines have loops of their own, or no noise schedule of this kind."
        )
    missing = [
        name
        for name in ("scheduler", "transformer" if found == "DiTPipeline" else "unet")
        if getattr(pipeline, name, None) is None
    ]
    if missing:
        raise AdagenError(
            f"the {found} has no {missing[0]} yet: load its components first (`load_components`)."
        )
    if found == "DiTPipeline":
        return _transformer(pipeline)
    return _unet(pipeline, found)


def _transformer(pipeline: Any) -> Pipeline:
    prediction = pipeline.scheduler.config.get("prediction_type", "epsilon")
    if prediction != "epsilon":
        raise AdagenError(
            f"the scheduler's prediction_type is {prediction!r}, but DiTPipeline is steered where "
            "its network predicts the noise: give a pipeline with prediction_type 'epsilon'."
        )
    network = pipeline.transformer
    side = network.config.sample_size // network.config.patch_size
    return Pipeline(
        "DiTPipeline",
        network,
        network.transformer_blocks[-1],
        VariancePreserving(),
        (side, side),
        network.config.num_attention_heads * network.config.attention_head_dim,
        GUIDED_CHANNELS,
    )


def _unet(pipeline: Any, kind: str) -> Pipeline:
    network = pipeline.unet
    if network.config.time_cond_proj_dim is not None:
        raise AdagenError(
            "the UNet of this pipeline takes the guidance scale as an input (it was distilled), "
            "so that guidance can't be chosen step by step: give the model that it was made from."
        )
    sample = network.config.sample_size
    height, width = (sample, sample) if isinstance(sample, int) else sample
    down = 2 ** (len(network.config.block_out_channels) - 1)
    return Pipeline(
        kind,
        network,
        network.mid_block,
        schedule_of(pipeline.scheduler),
        (height // down, width // down),
        network.config.block_out_channels[-1],
        None,
    )


def schedule_of(scheduler: Any) -> DiscreteSteps:
    """Return the noise schedule that a scheduler's network was trained under.

    Raises:
        AdagenError: it has no alpha^2 by training step, or the network predicts something else
            than noise or velocity.
    """
    prediction = scheduler.config.get("prediction_type", "epsilon")
    if prediction not in get_args(Prediction):
        raise AdagenError(
            f"the scheduler's prediction_type is {prediction!r}, which is not supported: a policy "
            f"steers networks of the types {' and '.join(get_args(Prediction))}. If the network "
            "is of one of them, give the pipeline its own scheduler first."
        )
    if getattr(scheduler, "alphas_cumprod", None) is None:
        raise AdagenError(
            f"a {type(scheduler).__name__} has no alphas_cumprod, by which times are chosen: give "
            "the pipeline a scheduler of the kind that its network was trained with, such as "
            "DDIMScheduler."
        )
    return DiscreteSteps(scheduler.alphas_cumprod, cast(Prediction, prediction))
