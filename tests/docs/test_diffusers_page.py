"""docs/diffusers.md as a reader runs it, on tiny networks of random weights."""

import re
from pathlib import Path
from typing import Any

import pytest
import tiny_pipelines
import torch
from policies import SIZE, random_policy

import adagen
from adagen.config import Dataset, Experiment, identity
from adagen.config.stable_diffusion import StableDiffusionSettings
from adagen.generators.build import build_generator, load_backbone, save_backbone
from adagen.integrations.diffusers import steer
from adagen.integrations.diffusers.stable_diffusion import StableDiffusion
from adagen.policy.files import save_policy

PAGE = (Path(__file__).parents[2] / "docs" / "diffusers.md").read_text()
PAGE = PAGE.replace("num_inference_steps=32", "num_inference_steps=4")
FIVE_LINES, PUBLISH, CALLBACK = re.findall(r"^```python\n(.*?)^```", PAGE, re.M | re.S)


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """A folder with a pipeline, its generator's file and a policy's file."""
    monkeypatch.chdir(tmp_path)
    tiny_pipelines.stable_diffusion().save_pretrained("stable-diffusion")
    unet = {key: value for key, value in tiny_pipelines.UNET.items() if key != "sample_size"}
    settings = StableDiffusionSettings(
        paradigm="stable_diffusion",
        model="stable-diffusion",
        positions=tiny_pipelines.POSITIONS,
        unet=unet,
        vae=tiny_pipelines.VAE,
        text_encoder=tiny_pipelines.TEXT_ENCODER,
    )
    backbone = StableDiffusion(settings, (3, 16, 16), num_classes=2)
    backbone.class_names = ("cat", "dog")
    backbone.learn(None, "sd15", checkpoint=None, device=torch.device("cpu"))
    save_backbone(
        Path("sd15.safetensors"),
        "sd15",
        backbone=backbone,
        settings=settings,
        dataset=Dataset(),
        image_shape=(3, 16, 16),
    )
    read = load_backbone(Path("sd15.safetensors"), "sd15", settings=settings, dataset=Dataset())
    experiment = Experiment(generator="sd15", steps=4, handmade=settings.handmade(), policy=SIZE)
    generator = build_generator(read, experiment)
    policy = identity.policy_file("coco", experiment, generator_hash=read.hash)
    save_policy(
        Path("policy.safetensors"),
        "adagen",
        actor=random_policy(generator),
        critic=None,
        size=SIZE,
        metadata=policy,
    )
    return tmp_path


def test_the_page_from_top_to_bottom(folder):
    names: dict[str, Any] = {}
    exec(PUBLISH, names)
    assert "| FID | 8.1 | 8 to 8.2 | 9 |" in (folder / "my-policy" / "README.md").read_text()
    assert len(names["again"].config.actions.handmade) == 5
    exec(FIVE_LINES, names)
    one, two = names["images"]
    assert one.size == (16, 16) and one.tobytes() != two.tobytes()
    names["exported"] = adagen.export_schedule(names["sampler"], 2)
    with steer(names["pipe"], names["exported"]):
        names["pipe"]("rain", num_inference_steps=4)
    scales: list[float] = []
    names["pipe"].unet.register_forward_hook(
        lambda *call: scales.append(names["pipe"].guidance_scale)
    )
    exec(CALLBACK, names)
    assert scales == names["exported"]["guidance_scale"]
