"""Policies in stock pipelines make the images of our own sampler."""

import json

import diffusers
import pytest
import tiny_pipelines
import torch
from policies import random_policy

from adagen.integrations.diffusers import steer
from adagen.policy.networks import HandMade
from adagen.sampling.sampler import Sampler

from .conftest import PROMPTS, ours, sampler_of

CALL = {"num_inference_steps": 4, "output_type": "pt"}
CLOSE = {"atol": 1e-5, "rtol": 0}


@pytest.mark.parametrize("prediction", ["stable_diffusion", "velocity"])
def test_stable_diffusion(prediction, request):
    """Batches, and several images of a prompt."""
    pipeline, generator = request.getfixturevalue(prediction)
    sampler = sampler_of(generator)
    expected, latents = ours(sampler, [0, 0, 1, 1])
    with steer(pipeline, sampler):
        found = pipeline(list(PROMPTS[:2]), num_images_per_prompt=2, latents=latents, **CALL).images
        alone = pipeline(PROMPTS[1], latents=latents[3:], **CALL).images
    torch.testing.assert_close(found, expected, **CLOSE)
    torch.testing.assert_close(alone, expected[3:], **CLOSE)


ODD = ("", "été ☃", 'a "red" apple', "two\nlines", "تفاحة", "a" * 400)


def test_prompts_of_any_kind(stable_diffusion):
    """Empty, not of this alphabet, with quotes and newlines, from right to left, too long."""
    pipeline, generator = stable_diffusion
    sampler = sampler_of(generator).prompted(ODD)
    expected, latents = ours(sampler, [*range(len(ODD))])
    with steer(pipeline, sampler_of(generator)):
        found = pipeline(list(ODD), latents=latents, **CALL).images
    torch.testing.assert_close(found, expected, **CLOSE)


def test_times_and_guidance_differ_between_samples(stable_diffusion):
    _, generator = stable_diffusion
    sampler = sampler_of(generator)
    samples = sampler(n=4, progress=False)
    assert samples.actions.std(1).min(0).values.min() == 0  # nothing is seen at the first call
    assert samples.actions[1:].std(1).min() > 1e-4
    images, _ = ours(sampler, [0, 1])
    plain, _ = ours(sampler.handmade(), [0, 1])
    assert (images - plain).abs().max() > 1e-3


def test_negative_prompts(stable_diffusion):
    pipeline, generator = stable_diffusion
    sampler, table = sampler_of(generator), generator.conditions.tokens
    null = table[-1].clone()
    table[-1] = table[2]
    generator.conditions._recent.clear()
    try:
        expected, latents = ours(sampler, [0, 1])
    finally:
        table[-1] = null
        generator.conditions._recent.clear()
    with steer(pipeline, sampler):
        found = pipeline(
            list(PROMPTS[:2]), negative_prompt=[PROMPTS[2]] * 2, latents=latents, **CALL
        ).images
    torch.testing.assert_close(found, expected, **CLOSE)


def test_a_blend(stable_diffusion):
    pipeline, generator = stable_diffusion
    one, two = sampler_of(generator), sampler_of(generator, 1)
    blend = one.blend(two, 0.3)
    expected, latents = ours(blend, [0, 1])
    with steer(pipeline, blend):
        found = pipeline(list(PROMPTS[:2]), latents=latents, **CALL).images
    torch.testing.assert_close(found, expected, **CLOSE)
    assert (expected - ours(one, [0, 1])[0]).abs().max() > 1e-4


def test_a_policy_that_sees_the_latents(stable_diffusion):
    pipeline, generator = stable_diffusion
    generator.policy_input = "state"
    try:
        sampler = sampler_of(generator)
        expected, latents = ours(sampler, [0, 1])
        with steer(pipeline, sampler):
            found = pipeline(list(PROMPTS[:2]), latents=latents, **CALL).images
    finally:
        generator.policy_input = "features"
    torch.testing.assert_close(found, expected, **CLOSE)


def test_a_table_of_settings(stable_diffusion, tmp_path):
    """The hand-made schedule as a table."""
    pipeline, generator = stable_diffusion
    actions = generator.actions
    expected, latents = ours(Sampler(generator, HandMade(2)), [0, 1])
    table = {"time": actions.handmade[:, 0].tolist(), "guidance": [2.0]}
    path = tmp_path / "schedule.json"
    path.write_text(json.dumps({"samples": 1, **table}))  # as one that was exported
    with steer(pipeline, path):
        found = pipeline(list(PROMPTS[:2]), latents=latents, **CALL).images
        larger = pipeline(PROMPTS[0], height=32, width=24, **CALL).images
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)  # smoothing rounds otherwise
    assert larger.shape == (1, 3, 32, 24)


def test_dit(dit):
    pipeline, generator = dit
    sampler = sampler_of(generator)
    expected, latents = ours(sampler, [3, 1, 3])
    with pytest.MonkeyPatch.context() as patch, steer(pipeline, sampler):
        # The pipeline takes no latents: it draws those that ours start from.
        patch.setattr("diffusers.pipelines.dit.pipeline_dit.randn_tensor", lambda *a, **k: latents)
        found = pipeline([3, 1, 3], **CALL).images
    torch.testing.assert_close(found, expected, **CLOSE)


def test_sdxl(sdxl):
    """Negative prompts, and several images of a prompt."""
    pipeline, generator = sdxl
    sampler = sampler_of(generator)
    expected, latents = ours(sampler, [0, 0, 2, 2])
    call = {"negative_prompt": ["noise"] * 2, "num_images_per_prompt": 2, "latents": latents}
    with steer(pipeline, sampler):
        found = pipeline([PROMPTS[0], PROMPTS[2]], **call, **CALL).images
    torch.testing.assert_close(found, expected, **CLOSE)


@pytest.mark.parametrize(
    ("prompts", "each", "labels"),
    [([0, 2], 1, [0, 2]), ([2], 3, [2] * 3), ([0, 0, 2], 1, [0, 0, 2])],
)
def test_modular_sdxl(sdxl, prompts, each, labels):
    """Not several images of several prompts: diffusers 0.42.1 mixes those up by itself."""
    stock, generator = sdxl
    pipeline = tiny_pipelines.modular_sdxl()
    pipeline.update_components(**stock.components)
    guider, scheduler = pipeline.guider, pipeline.scheduler
    sampler = sampler_of(generator)
    expected, latents = ours(sampler, labels)
    with steer(pipeline, sampler):
        found = pipeline(
            prompt=[PROMPTS[label] for label in prompts],
            negative_prompt=["noise"] * len(prompts),
            num_images_per_prompt=each,
            latents=latents,
            output="images",
            **CALL,
        )
    torch.testing.assert_close(found, expected, **CLOSE)
    assert pipeline.guider is guider and pipeline.scheduler is scheduler


def test_the_pipeline_is_as_before_when_the_policy_is_removed(stable_diffusion):
    pipeline, generator = stable_diffusion
    call = {"prompt": "rain", "num_inference_steps": 2, "output_type": "pt"}
    components, config = dict(pipeline.components), dict(pipeline.config)
    before = pipeline(**call, generator=torch.manual_seed(0)).images
    steered = steer(pipeline, sampler_of(generator))
    assert pipeline.scheduler is not components["scheduler"]
    steered.remove()
    steered.remove()
    assert pipeline.components == components and dict(pipeline.config) == config
    assert not pipeline.unet._forward_hooks and not pipeline.unet._forward_pre_hooks
    assert not pipeline.unet.mid_block._forward_hooks
    torch.testing.assert_close(pipeline(**call, generator=torch.manual_seed(0)).images, before)


def test_with_models_that_are_moved_when_they_are_needed(stable_diffusion):
    """Here from the CPU to itself."""
    pipeline, generator = stable_diffusion
    sampler = sampler_of(generator)
    expected, latents = ours(sampler, [0, 1])
    pipeline.enable_model_cpu_offload(device="cpu")
    try:
        with steer(pipeline, sampler):
            found = pipeline(list(PROMPTS[:2]), latents=latents, **CALL).images
    finally:
        pipeline.remove_all_hooks()
    torch.testing.assert_close(found, expected, **CLOSE)


def test_half_precision_stays_close(dit):
    """bfloat16 networks; times, guidance and the solver compute in float32."""
    pipeline, generator = dit
    sampler = Sampler(generator, random_policy(generator))
    pipeline.to(torch.bfloat16)
    try:
        with steer(pipeline, sampler):
            images = pipeline([3, 1], **CALL).images
    finally:
        pipeline.to(torch.float32)
    assert torch.isfinite(images).all()


def test_a_safety_checker_works_as_ever(stable_diffusion, monkeypatch):
    """It sees finished images: here it finds the second one unsafe."""
    pipeline, generator = stable_diffusion

    def check(images, device, dtype):
        images[1] = -1.0
        return images, [False, True]

    monkeypatch.setattr(pipeline, "run_safety_checker", check)
    with steer(pipeline, sampler_of(generator)):
        result = pipeline(list(PROMPTS[:2]), **CALL)
    assert result.nsfw_content_detected == [False, True]
    assert isinstance(result, diffusers.pipelines.stable_diffusion.StableDiffusionPipelineOutput)
