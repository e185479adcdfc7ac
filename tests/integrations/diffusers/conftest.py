from pathlib import Path
from typing import Any

import pytest
import tiny_pipelines
import torch
from policies import random_policy
from torch import nn

from adagen.config import Handmade
from adagen.config.stable_diffusion import StableDiffusionSettings
from adagen.data.split import Images
from adagen.generators.conditions import ClassConditions
from adagen.generators.diffusion import VariancePreserving
from adagen.generators.solver import SolverGenerator
from adagen.generators.stable_diffusion import StableDiffusionGenerator
from adagen.integrations.diffusers.pipelines import SDXL, schedule_of
from adagen.integrations.diffusers.stable_diffusion import StableDiffusion
from adagen.runtime.noise import SampleNoise
from adagen.sampling.rollout import rollout
from adagen.sampling.sampler import Sampler

PROMPTS = ("a red apple", "two blue stars", "rain")


class Adapter(nn.Module):
    """A network of a pipeline as our solver calls it."""

    def __init__(self, network: nn.Module, deepest: nn.Module, *, call: Any, grid: int, width: int):
        super().__init__()
        self.network, self.call, self.grid, self.width = network, call, grid, width
        deepest.register_forward_hook(lambda *call: self.seen.append(call[2]))
        self.seen: list[torch.Tensor] = []

    def forward(self, x, time, labels):
        self.seen.clear()
        output = self.call(self.network, x, time, labels)
        (seen,) = self.seen
        return output, seen.flatten(2).mT if seen.ndim == 4 else seen


class Networks(nn.Module):
    """What `SolverGenerator` asks of a backbone, from the parts of a pipeline."""

    def __init__(self, network, vae, schedule, *, latent_shape, num_classes):
        super().__init__()
        self.network, self.vae, self.schedule = network, vae, schedule
        self.latent_shape, self.num_classes = latent_shape, num_classes
        self.conditions = ClassConditions(num_classes)
        self.device = torch.device("cpu")

    def mixed(self):
        return torch.no_grad()

    def decode(self, x):
        return (self.vae.decode(x / self.vae.config.scaling_factor).sample / 2 + 0.5).clamp(0, 1)


class SDXLGenerator(SolverGenerator):
    denoiser = SDXL
    guided_channels = None


@pytest.fixture(scope="session")
def stable_diffusion(tmp_path_factory):
    """A pipeline, and the generator that read its folder."""
    return _pipeline_and_generator("epsilon", tmp_path_factory.mktemp("pipeline"))


@pytest.fixture(scope="session")
def velocity(tmp_path_factory):
    """The same of a network that predicts v."""
    return _pipeline_and_generator("v_prediction", tmp_path_factory.mktemp("velocity"))


def _pipeline_and_generator(prediction: str, folder: Path) -> tuple[Any, StableDiffusionGenerator]:
    pipeline = tiny_pipelines.stable_diffusion(prediction)
    if prediction == "v_prediction":  # a larger random one magnifies roundings a hundred times
        pipeline.unet.conv_out.weight.data.mul_(0.1)
    pipeline.save_pretrained(folder)
    return pipeline, generator_of(folder, prediction)


def settings_of(folder: Path, prediction: str = "epsilon", **keys: Any) -> StableDiffusionSettings:
    unet = {k: v for k, v in tiny_pipelines.UNET.items() if k != "sample_size"}
    values = {
        "unet": unet,
        "vae": tiny_pipelines.VAE,
        "text_encoder": tiny_pipelines.TEXT_ENCODER,
        "positions": tiny_pipelines.POSITIONS,
        **keys,
    }
    return StableDiffusionSettings(
        paradigm="stable_diffusion",
        model=str(folder),
        prediction=prediction,
        **values,
    )


def backbone_of(settings: StableDiffusionSettings, side: int = 16) -> StableDiffusion:
    backbone = StableDiffusion(settings, (3, side, side), num_classes=len(PROMPTS))
    backbone.class_names = PROMPTS
    images = Images(torch.zeros(1, 3, side, side), torch.zeros(1, dtype=torch.long))
    backbone.learn(images, "sd", checkpoint=None, device=torch.device("cpu"))
    return backbone.eval().requires_grad_(False)


def generator_of(folder: Path, prediction: str = "epsilon") -> StableDiffusionGenerator:
    backbone = backbone_of(settings_of(folder, prediction))
    return backbone.generator(4, Handmade(guidance=2.0), smoothing=0.4)


@pytest.fixture(scope="session")
def dit():
    """A pipeline, and our generator with its transformer."""
    pipeline = tiny_pipelines.dit()

    def call(network, x, time, labels):
        return network(x, timestep=time, class_labels=labels).sample

    transformer = pipeline.transformer
    adapter = Adapter(transformer, transformer.transformer_blocks[-1], call=call, grid=2, width=16)
    networks = Networks(
        adapter, pipeline.vae, VariancePreserving(), latent_shape=(4, 4, 4), num_classes=1000
    )
    return pipeline, SolverGenerator(networks, 4, handmade=Handmade(guidance=2.0), smoothing=0.4)


@pytest.fixture(scope="session")
def sdxl():
    """The components of a pipeline, and our generator with its UNet and two embedded prompts."""
    import diffusers

    components = tiny_pipelines.sdxl_components()
    stock = diffusers.StableDiffusionXLPipeline(**components)
    stock.set_progress_bar_config(disable=True)
    found = stock.encode_prompt(list(PROMPTS), negative_prompt=["noise"] * 3)
    text, null, pooled, null_pooled = found
    text, pooled = torch.cat([text, null[:1]]), torch.cat([pooled, null_pooled[:1]])
    ids = torch.tensor([[16.0, 16, 0, 0, 16, 16]])

    def call(network, x, time, labels):
        added = {"text_embeds": pooled[labels], "time_ids": ids.repeat(len(x), 1)}
        return network(
            x, time, encoder_hidden_states=text[labels], added_cond_kwargs=added, return_dict=False
        )[0]

    unet = components["unet"]
    adapter = Adapter(unet, unet.mid_block, call=call, grid=4, width=16)
    networks = Networks(
        adapter,
        components["vae"],
        schedule_of(components["scheduler"]),
        latent_shape=(4, 8, 8),
        num_classes=3,
    )
    return stock, SDXLGenerator(networks, 4, handmade=Handmade(guidance=2.0), smoothing=0.4)


def sampler_of(generator: SolverGenerator, seed: int = 0) -> Sampler:
    """Our sampler under a policy that treats samples differently."""
    return Sampler(generator, random_policy(generator, seed))


def ours(sampler: Sampler, labels: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
    """Images of our own sampler, and the latents that it starts from."""
    noise = SampleNoise("test", 0, range(len(labels)))
    images = rollout(sampler.generator, sampler.policy, labels=torch.tensor(labels), noise=noise)
    return images, noise.normal("start", *sampler.generator.backbone.latent_shape)
