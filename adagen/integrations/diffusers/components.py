"""The components that stand in a pipeline while a policy steers it: scheduler and guider."""

from collections.abc import Callable
from typing import Any, ClassVar

import torch
from diffusers import ConfigMixin, SchedulerMixin
from diffusers.configuration_utils import register_to_config
from diffusers.guiders.guider_utils import BaseGuidance, GuiderOutput
from diffusers.schedulers.scheduling_utils import SchedulerOutput

from adagen.integrations.diffusers.trajectory import Trajectory
from adagen.runtime.errors import AdagenError


class Current:
    """The trajectory of the batch that a pipeline is making.

    Attributes:
        start: makes a new trajectory.
        steps: T of the policy.
        trajectory: the present one; None where no batch is being made.
    """

    def __init__(self, start: Callable[[], Trajectory], steps: int) -> None:
        self.start, self.steps = start, steps
        self.trajectory: Trajectory | None = None

    def __call__(self) -> Trajectory:
        """Return the present trajectory.

        Raises:
            AdagenError: the network is called outside a pipeline's loop.
        """
        if self.trajectory is None:
            raise AdagenError(
                "the network of a pipeline under a policy was called outside the pipeline's loop, "
                "where no times are chosen: call the pipeline, or remove the policy first."
            )
        return self.trajectory


class PolicyScheduler(SchedulerMixin, ConfigMixin):  # type: ignore[misc]
    """The solver of DiT and SiT as a scheduler of diffusers, at times that the policy chooses.

    `timesteps` are the hand-made ones, for callbacks and progress bars. The network is given those
    of the samples.
    """

    order = 1
    init_noise_sigma = 1.0

    @register_to_config  # type: ignore[untyped-decorator]
    def __init__(self, num_train_timesteps: int = 1000, prediction_type: str = "epsilon") -> None:
        self.current: Current
        self.timesteps = torch.empty(0)

    def set_timesteps(
        self, num_inference_steps: int, device: str | torch.device | None = None
    ) -> None:
        """Begin a batch.

        Raises:
            AdagenError: the policy was made for another number of steps.
        """
        if num_inference_steps != self.current.steps:
            raise AdagenError(
                f"num_inference_steps is {num_inference_steps}, but the policy was made for "
                f"{self.current.steps}: call the pipeline with num_inference_steps="
                f"{self.current.steps}, or take a policy for {num_inference_steps}."
            )
        self.current.trajectory = trajectory = self.current.start()
        handmade = trajectory.steering.actions.handmade[:-1, 0]
        self.timesteps = trajectory.schedule.network_time(handmade).to(device)
        self.num_inference_steps = num_inference_steps

    def scale_model_input(self, sample: torch.Tensor, timestep: Any = None) -> torch.Tensor:
        """Return the latents as they are."""
        return sample

    def step(  # noqa: D102
        self,
        model_output: torch.Tensor,
        timestep: Any,
        sample: torch.Tensor,
        *,
        return_dict: bool = True,
    ) -> Any:
        trajectory = self.current()
        assert trajectory.at is not None
        b, copies = len(trajectory.at.tau), len(sample) // len(trajectory.at.tau)
        moved = trajectory.step(model_output[:b], sample[:b])
        if trajectory.call > self.current.steps:
            self.current.trajectory = None
        moved = moved.repeat(copies, 1, 1, 1)  # DiTPipeline keeps its latents twice
        return SchedulerOutput(prev_sample=moved) if return_dict else (moved,)


class PolicyGuidance(BaseGuidance):  # type: ignore[misc]
    """Classifier-free guidance with a scale for every sample, which the policy chooses.

    The guided output is c + w (c - u), with w one less than the `guidance_scale` of diffusers.
    """

    _input_predictions: ClassVar[list[str]] = ["pred_cond", "pred_uncond"]

    @register_to_config  # type: ignore[untyped-decorator]
    def __init__(self) -> None:
        super().__init__()
        self.current: Current
        self.latents: torch.Tensor | None = None

    def prepare_inputs(self, data: dict[str, Any]) -> list[Any]:
        """Return what the network is given with the prompts, and without.

        Raises:
            AdagenError: the pipeline takes fewer steps than it began with.
        """
        require_all_steps(self._num_inference_steps, self.current.steps)
        return [
            self._prepare_batch(data, index, prediction)
            for index, prediction in enumerate(self._input_predictions)
        ]

    def forward(self, pred_cond: torch.Tensor, pred_uncond: torch.Tensor) -> GuiderOutput:
        """Return the guided output of both passes."""
        assert self.latents is not None
        guided = self.current().guided(self.latents, pred_cond, null=pred_uncond)
        return GuiderOutput(pred=guided, pred_cond=pred_cond, pred_uncond=pred_uncond)

    @property
    def is_conditional(self) -> bool:
        """True in the pass with the prompts, which is the first."""
        return bool(self._count_prepared == 1)

    @property
    def num_conditions(self) -> int:
        """Two passes a step."""
        return 2


def require_all_steps(taken: int, steps: int) -> None:
    """Refuse a call that ends before the policy's last step.

    Raises:
        AdagenError: it takes another number of steps.
    """
    if taken != steps:
        raise AdagenError(
            f"the pipeline would end after {taken} of the policy's {steps} steps, at a time that "
            "no refiner knows: leave out denoising_end, or remove the policy."
        )
