"""Pipelines and policies that don't suit each other are refused with the reason."""

import sys
from dataclasses import replace
from types import SimpleNamespace

import diffusers
import pytest
import tiny_pipelines
import torch
from diffusers.modular_pipelines import StableDiffusionXLAutoBlocks

from adagen.config import Handmade
from adagen.generators.stopping import Stopping
from adagen.integrations.diffusers import steer
from adagen.policy.networks import ConstantTable
from adagen.runtime.errors import AdagenError

from .conftest import PROMPTS, backbone_of, sampler_of, settings_of


def unguided(pipeline, step, time, kwargs):
    """A callback that ends guidance half-way, as diffusers' manual shows it."""
    pipeline._guidance_scale = 0.0
    return {"prompt_embeds": kwargs["prompt_embeds"].chunk(2)[-1]}


UNGUIDED = {
    "callback_on_step_end": unguided,
    "callback_on_step_end_tensor_inputs": ["prompt_embeds"],
}
NAN = float("nan")
TABLE = {"time": [0.9, 0.5, 0.1], "guidance": 2.0}


def refused(pipeline, policy) -> str:
    """The message, in one paragraph; the pipeline is left as it was."""
    before = getattr(pipeline, "scheduler", None)
    with pytest.raises(AdagenError) as caught:
        steer(pipeline, policy)
    assert getattr(pipeline, "scheduler", None) is before and "\n" not in str(caught.value)
    return str(caught.value)


def test_pipelines(stable_diffusion, dit):
    pipeline, generator = stable_diffusion
    sampler = sampler_of(generator)
    assert "a str can't be steered" in refused("pipe", sampler)
    words = refused(dit[0], sampler)
    assert (
        "made for another pipeline than this DiTPipeline: denoiser is 'Stable Diffusion' th"
        in words
    )
    assert "denoiser is 'DiT' there and 'Stable Diffusion' here" in refused(
        pipeline, sampler_of(dit[1])
    )
    with steer(pipeline, sampler):
        assert "under a policy already" in refused(pipeline, sampler)
    removed = steer(pipeline, sampler)
    removed.remove()
    with pytest.raises(AdagenError, match="was removed from this pipeline"), removed:
        pass
    empty = StableDiffusionXLAutoBlocks().init_pipeline()
    assert "has no scheduler yet: load its components" in refused(empty, TABLE)
    flow = SimpleNamespace(config={"prediction_type": "epsilon"}, alphas_cumprod=None)
    with with_scheduler(pipeline, flow):
        assert "has no alphas_cumprod" in refused(pipeline, TABLE)


class with_scheduler:
    def __init__(self, pipeline, scheduler):
        self.pipeline, self.scheduler, self.old = pipeline, scheduler, pipeline.scheduler

    def __enter__(self):
        object.__setattr__(self.pipeline, "scheduler", self.scheduler)

    def __exit__(self, *error):
        object.__setattr__(self.pipeline, "scheduler", self.old)


def test_a_network_of_another_kind(stable_diffusion, velocity, dit):
    pipeline, generator = stable_diffusion
    assert "prediction is 'v_prediction' there and 'epsilon' here" in refused(
        pipeline, sampler_of(velocity[1])
    )
    sample = diffusers.DDIMScheduler(prediction_type="sample", clip_sample=False, steps_offset=1)
    with with_scheduler(pipeline, sample):
        assert "prediction_type is 'sample', which is not supported" in refused(pipeline, TABLE)
    with with_scheduler(dit[0], sample):
        assert "prediction_type is 'sample'" in refused(dit[0], TABLE)
    larger = tiny_pipelines.stable_diffusion(block_out_channels=(8, 24))
    assert "width is 16 there and 24 here" in refused(larger, sampler_of(generator))
    other = diffusers.DDIMScheduler(beta_schedule="linear", clip_sample=False, steps_offset=1)
    with with_scheduler(pipeline, other):
        assert "made for another pipeline than this StableDiffusionPipeline: log_snr is" in refused(
            pipeline, sampler_of(generator)
        )
    distilled = tiny_pipelines.stable_diffusion(time_cond_proj_dim=8)
    assert "it was distilled" in refused(distilled, TABLE)


def test_sdxl_for_stable_diffusion(stable_diffusion, sdxl, tmp_path):
    """As a pipeline, even of equal sizes, and as the folder that a generator is read from."""
    pipeline, generator = sdxl
    words = "denoiser is 'Stable Diffusion' there and 'Stable Diffusion XL' here"
    assert words in refused(pipeline, sampler_of(stable_diffusion[1]))
    assert "policy was made for another pipeline" in refused(
        stable_diffusion[0], sampler_of(generator)
    )
    pipeline.save_pretrained(tmp_path)
    with pytest.raises(AdagenError, match="holds a StableDiffusionXLPipeline, but a Stable"):
        backbone_of(settings_of(tmp_path))


def test_other_calls(stable_diffusion, dit):
    pipeline, generator = stable_diffusion
    call = {"prompt": PROMPTS[0], "num_inference_steps": 4, "output_type": "pt"}
    with steer(pipeline, sampler_of(generator)):
        with pytest.raises(AdagenError, match="num_inference_steps is 50, but the policy was made"):
            pipeline(PROMPTS[0])
        with pytest.raises(AdagenError, match="without guidance"):
            pipeline(**call, guidance_scale=1.0)
        with pytest.raises(AdagenError, match="guidance_rescale is above 0"):
            pipeline(**call, guidance_rescale=0.5)
        with pytest.raises(AdagenError, match="features of these images lie on a grid of"):
            pipeline(**call, height=32, width=32)
        with pytest.raises(AdagenError, match="leave guidance switched on, in callbacks too"):
            pipeline(**call, **UNGUIDED)
        with pytest.raises(AdagenError, match="called outside the pipeline's loop"):
            pipeline.scheduler.current.trajectory = None
            pipeline.unet(torch.zeros(2, 4, 8, 8), 1, torch.zeros(2, 16, 16))
        assert pipeline(**call).images.shape == (1, 3, 16, 16)  # it goes on after errors
    with steer(dit[0], sampler_of(dit[1])), pytest.raises(AdagenError, match="without guidance"):
        dit[0]([1, 2], guidance_scale=1.0, num_inference_steps=4)


def test_clip_skip_where_diffusers_cannot_serve_it(stable_diffusion):
    """It is refused; embeddings as the message advises do the same."""
    pipeline, generator = stable_diffusion
    encoder = pipeline.text_encoder
    call = {"num_inference_steps": 4, "output_type": "pt", "generator": torch.manual_seed(0)}
    if hasattr(encoder, "text_model"):  # of transformers before 5
        with steer(pipeline, sampler_of(generator)):
            assert pipeline(PROMPTS[0], clip_skip=1, **call).images.isfinite().all()
        return
    embeds = []
    for text in (PROMPTS[0], ""):
        ids = pipeline.tokenizer(text, padding="max_length", return_tensors="pt").input_ids
        hidden = encoder(ids, output_hidden_states=True).hidden_states[-2]
        embeds.append(encoder.final_layer_norm(hidden).detach())
    with steer(pipeline, sampler_of(generator)):
        with pytest.raises(AdagenError, match=r"clip_skip can't be used with diffusers .*<5'"):
            pipeline(PROMPTS[0], clip_skip=1, **call)
        plain = pipeline(PROMPTS[0], **call).images
        call["generator"] = torch.manual_seed(0)
        skipped = pipeline(prompt_embeds=embeds[0], negative_prompt_embeds=embeds[1], **call).images
    assert skipped.isfinite().all() and not skipped.equal(plain)
    assert not encoder._forward_pre_hooks  # removed with the policy


def test_samples_that_stop(stable_diffusion):
    pipeline, generator = stable_diffusion
    sampler = sampler_of(generator)
    assert "don't end samples early" in refused(
        pipeline, replace(sampler, generator=Stopping(generator))
    )


def test_sdxl_serves_clip_skip(sdxl):
    pipeline, generator = sdxl
    with steer(pipeline, sampler_of(generator)):
        images = pipeline(PROMPTS[0], clip_skip=0, num_inference_steps=4, output_type="pt").images
    assert images.isfinite().all()


@pytest.mark.parametrize("modular", [False, True])
def test_a_call_that_would_end_before_the_last_step(sdxl, modular):
    """As the first of two pipelines, of which the second is not under the policy."""
    pipeline, generator = sdxl
    call = {"prompt": PROMPTS[0], "num_inference_steps": 4, "output_type": "pt"}
    if modular:
        stock, pipeline = pipeline, tiny_pipelines.modular_sdxl()
        pipeline.update_components(**stock.components)
    with steer(pipeline, sampler_of(generator)):
        with pytest.raises(AdagenError, match="would end after 2 of the policy's 4 steps"):
            pipeline(**call, denoising_end=0.5)
        pipeline(**call)  # it goes on after the error


def test_policies_that_are_not_finite(stable_diffusion):
    pipeline, generator = stable_diffusion
    sampler = sampler_of(generator)
    with torch.no_grad():
        sampler.policy.linear3.bias.fill_(torch.nan)
    with steer(pipeline, sampler), pytest.raises(AdagenError, match="are not finite"):
        pipeline(PROMPTS[0], num_inference_steps=4, output_type="pt")


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"time": [0.9, 0.5], "guidance": 2}, "has 2 times and 2 scales"),
        ({"time": [0.9, 0.5, 0.1], "guidance": [1, 2]}, "has 3 times and 2 scales"),
        ({"time": [999, 500, 1], "guidance": 2}, "a time outside (0, 1): 999 at call 0"),
        ({"time": [0.9, 0.5, 0], "guidance": 2}, "a time outside (0, 1): 0 at call 2"),
        ({"time": [0.5, 0.1, 0.9], "guidance": 2}, "times that rise, from 0.1 to 0.9 at call 2"),
        ({"time": [0.9, 0.5, 0.1], "guidance": -1}, "a guidance below 0: -1 at call 0"),
        ({"time": [0.9, 0.5, 0.1], "guidance": [1, 2, -3]}, "below 0: -3 at call 2"),
        ({"time": [0.9, NAN, 0.1], "guidance": 2}, "'time': nan at call 1, where numbers are"),
        ({"time": [0.9, 0.5, 0.1], "guidance": NAN}, "'guidance': nan, where numbers are"),
        ({"time": [[0.9, 0.5, 0.1]], "guidance": 2}, "'time': [0.9, 0.5, 0.1] at call 0, where"),
        ({"time": [0.9, True, 0.1], "guidance": 2}, "'time': True at call 1"),
        ({**TABLE, "guidence": 2}, "unknown key 'guidence'. Did you mean 'guidance'?"),
        ({"times": [0.9, 0.5, 0.1], "guidance": 2}, "unknown key 'times'. Did you mean 'time'?"),
        ({"time": [0.9, 0.5, 0.1]}, "'guidance': None, where numbers are expected"),
        ({"time": ["a"], "guidance": 1}, "where numbers are expected"),
        (ConstantTable(3, 2), "a ConstantTable can't steer a pipeline"),
        ("nowhere", "nowhere is no folder of a policy"),
    ],
)
def test_policies_that_make_no_sense(stable_diffusion, table, words):
    assert words in refused(stable_diffusion[0], table)


def test_candidates_and_other_families(stable_diffusion):
    from adagen.generators.actions import maskgit_actions

    pipeline, generator = stable_diffusion
    assert "chooses among candidates" in refused(
        pipeline, sampler_of(generator).best_of(2, lambda images, labels: images.flatten(1).mean(1))
    )
    actions = generator.actions
    try:
        generator.actions = maskgit_actions(4, Handmade(), smoothing=0.0)
        sampler = sampler_of(generator)
        assert "of another family than diffusion" in refused(pipeline, sampler)
    finally:
        generator.actions = actions


def test_transformers_is_missing(monkeypatch):
    from adagen.integrations.diffusers.prompts import text_encoder

    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(AdagenError, match=r"pip install 'adagen\[diffusers\]'"):
        text_encoder({})


def test_the_extra_is_missing(monkeypatch):
    for name in [m for m in sys.modules if m.startswith("adagen.integrations.diffusers")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "diffusers", None)
    with pytest.raises(AdagenError, match=r"pip install 'adagen\[diffusers\]'"):
        import adagen.integrations.diffusers  # noqa: F401
    from adagen.config import paradigms

    assert paradigms.settings_of("stable_diffusion")  # a configuration is read without it
    with pytest.raises(AdagenError, match="diffusers is not installed"):
        paradigms.registered("stable_diffusion")
