"""Stable Diffusion as a generator, read from the folder of a pipeline."""

import json
import re
import shutil
from pathlib import Path

import pytest
import tiny_pipelines
import torch
import yaml

import adagen
from adagen.config import Dataset, Experiment
from adagen.config.loading import check_section
from adagen.config.stable_diffusion import StableDiffusionSettings
from adagen.generators.build import (
    build_backbone,
    build_generator,
    load_backbone,
    save_backbone,
)
from adagen.generators.described import load_conditions
from adagen.planning.counting import count, on_meta
from adagen.policy.files import build_actor
from adagen.runtime.errors import AdagenError

from .conftest import PROMPTS, backbone_of, settings_of


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("folder")
    tiny_pipelines.stable_diffusion().save_pretrained(folder)
    return folder


@pytest.mark.slow
def test_it_is_what_adagen_expects_of_a_generator(stable_diffusion):
    _, generator = stable_diffusion
    report = adagen.check_generator(generator, backbone=generator.backbone)
    assert all(check.passed for check in report.checks), report


def test_prompts_are_embedded_as_the_pipeline_does(stable_diffusion):
    pipeline, generator = stable_diffusion
    prompts, null = pipeline.encode_prompt(list(PROMPTS), "cpu", 1, True)
    hidden = generator.conditions(torch.arange(4))
    torch.testing.assert_close(hidden, torch.cat([prompts, null[:1]]))
    vectors = generator.conditions.vectors(torch.arange(3))
    torch.testing.assert_close(vectors.norm(dim=1), torch.ones(3))
    again = generator.conditions.encoded([PROMPTS[1], ""])
    torch.testing.assert_close(again(torch.arange(3)), hidden[[1, 3, 3]])


@pytest.mark.parametrize(
    "prompt", ["été ☃", 'a "red" apple', "two\nlines", "تفاحة", "a\0b", "\ud800", "x" * 400]
)
def test_any_prompt_is_embedded(stable_diffusion, prompt, capsys):
    _, generator = stable_diffusion
    table = generator.conditions.encoded([prompt])
    assert table(torch.tensor([0, 1])).isfinite().all()
    told = "is longer than the text encoder reads: its end, 'xxx" in capsys.readouterr().err
    assert told == (len(prompt) > 100)


def test_no_prompts(stable_diffusion):
    _, generator = stable_diffusion
    for wrong in ([], "a red apple", [3]):
        with pytest.raises(AdagenError, match="a list of texts with at least one is expected"):
            generator.conditions.encoded(wrong)


def test_it_is_saved_and_read_and_loaded_with_its_steps(folder, tmp_path):
    settings = settings_of(folder)
    backbone, path = backbone_of(settings), tmp_path / "sd.safetensors"
    save_backbone(
        path, "sd", backbone=backbone, settings=settings, dataset=Dataset(), image_shape=(3, 16, 16)
    )
    read = load_backbone(path, "sd", settings=settings, dataset=Dataset())
    again = build_generator(read, Experiment(generator="sd", steps=2))
    labels = torch.arange(3)
    noise = adagen.SampleNoise("test", 0, range(3))
    policy = adagen.ConstantTable(3, 2)
    expected = backbone.generator(2, settings.handmade(guidance=1.0), smoothing=0.0)
    images = [
        adagen.rollout(generator, policy, labels=labels, noise=noise)
        for generator in (again, expected)
    ]
    torch.testing.assert_close(*images)
    conditions = load_conditions(path)
    assert torch.equal(conditions(labels), backbone.conditions(labels))
    sampler = adagen.load(None, path, steps=2)
    named, asked = sampler(0, n=2), sampler(prompts=[PROMPTS[0]], n=2)
    torch.testing.assert_close(asked.images, named.images)
    assert sampler.generator.actions.handmade[:, 1].unique().tolist() == [6.5]


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"prediction": "v_prediction"}, "predicts 'epsilon', but the generator's key prediction"),
        ({"unet": {**tiny_pipelines.UNET, "layers_per_block": 2}}, "holds another network than"),
        ({"prediction": "sample"}, "Supported are epsilon and v_prediction"),
        ({"model": "nowhere"}, "nowhere is no folder of a pipeline"),
        ({"unet": {"no": 1}}, "key unet describes no network"),
        ({"positions": 99}, "positions is 99, but its text encoder reads 16 tokens"),
    ],
)
def test_settings_that_do_not_fit_the_folder(folder, keys, words):
    settings = settings_of(folder).model_copy(update=keys)
    with pytest.raises(AdagenError, match=words):
        backbone_of(settings)


def test_sizes_that_do_not_fit(folder):
    with pytest.raises(AdagenError, match=r"change dataset\.size"):
        build_backbone(settings_of(folder), (3, 18, 18), num_classes=3)
    backbone = backbone_of(settings_of(folder))
    with pytest.raises(AdagenError, match="steps is 3, but the second-order solver"):
        backbone.generator(3, adagen.Handmade(), smoothing=0.0)


def test_pickled_weights_are_refused(folder, tmp_path):
    copy = tmp_path / "pickled"
    shutil.copytree(folder, copy)
    weights = copy / "unet" / "diffusion_pytorch_model.safetensors"
    torch.save({}, weights.with_suffix(".bin"))
    weights.unlink()
    with pytest.raises(AdagenError, match="from safetensors alone"):
        backbone_of(settings_of(copy))
    assert json.loads((copy / "model_index.json").read_text())["unet"]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("model_index.json", b"[]", "no readable model_index"),
        ("scheduler/scheduler_config.json", b"{", "scheduler is missing or damaged"),
        ("scheduler/scheduler_config.json", b'{"num_train_timesteps": 5}', "has 5 training steps"),
        (
            "scheduler/scheduler_config.json",
            b'{"prediction_type": "sample"}',
            "predicts 'sample', but .* Supported are epsilon and v_prediction",
        ),
        ("text_encoder/model.safetensors", b"x" * 99, "text_encoder is missing or damaged"),
        ("tokenizer/tokenizer.json", None, "has no tokenizer, by which prompts are read"),
    ],
)
def test_damaged_folders(folder, tmp_path, name, content, words):
    copy = tmp_path / "damaged"
    shutil.copytree(folder, copy)
    (copy / name).unlink()
    if content is not None:
        (copy / name).write_bytes(content)
    with pytest.raises(AdagenError, match=words):
        backbone_of(settings_of(copy))


def test_a_prediction_type_that_is_not_supported():
    keys = {"paradigm": "stable_diffusion", "model": "pipeline", "prediction": "sample"}
    with pytest.raises(AdagenError, match=r"prediction.*one of 'epsilon', 'v_prediction'"):
        check_section(StableDiffusionSettings, keys, source="test")


def test_a_folder_with_a_safety_checker(folder, tmp_path):
    """It is no part of the generator: nothing of it is read, broken weights neither."""
    copy = tmp_path / "checked"
    shutil.copytree(folder, copy)
    index = json.loads((copy / "model_index.json").read_text())
    index["safety_checker"] = ["stable_diffusion", "StableDiffusionSafetyChecker"]
    (copy / "model_index.json").write_text(json.dumps(index))
    (copy / "safety_checker").mkdir()
    (copy / "safety_checker" / "model.safetensors").write_bytes(b"broken")
    labels = torch.arange(4)
    conditions = [backbone_of(settings_of(place)).conditions(labels) for place in (folder, copy)]
    torch.testing.assert_close(*conditions)


def test_nothing_is_asked_of_the_web(folder, monkeypatch, tmp_path):
    """In another folder the pipeline's path, "a/tokenizer", is that of a name on the web."""
    shutil.copytree(folder, tmp_path / "a")
    monkeypatch.chdir(tmp_path)
    conditions = backbone_of(settings_of(Path("a"))).conditions
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    with pytest.raises(AdagenError, match="start the program in the folder that the path belongs"):
        conditions.encoded(["a fox"])


PAGE = (Path(__file__).parents[3] / "docs" / "diffusers.md").read_text()


@pytest.mark.parametrize(
    ("version", "side", "sizes"),
    [
        ("sd15", 512, (859_520_964, 83_653_863, 123_060_480)),
        ("sd21", 768, (865_910_724, 83_653_863, 340_387_840)),
    ],
)
def test_the_networks_of_the_page_are_those_that_were_released(version, side, sizes):
    """Parameters of UNet, autoencoder and text encoder."""
    blocks = re.findall(r"^    generators:\n(?:      .*\n)+", PAGE, re.MULTILINE)
    sections = {k: v for block in blocks for k, v in yaml.safe_load(block)["generators"].items()}
    with on_meta():
        settings = StableDiffusionSettings(**sections[version])
        networks = build_backbone(settings, (3, side, side), num_classes=3)
    parts = (networks.network.unet, networks.vae, networks.conditions.encoder)
    assert tuple(sum(p.numel() for p in part.parameters()) for part in parts) == sizes


def test_the_policy_of_the_paper_takes_less_than_a_percent_of_a_step():
    """FLOPs at the sizes of Stable Diffusion 1.x, counted on networks without weights."""
    settings = settings_of("unused").model_copy(
        update={"unet": {}, "vae": {}, "text_encoder": {}, "positions": 77}
    )
    with on_meta():
        backbone = build_backbone(settings, (3, 512, 512), num_classes=3)
        generator = backbone.generator(32, settings.handmade(), smoothing=0.0)
        paper = adagen.config.PolicySettings(hidden=512, pointwise=128, first=1024, second=512)
        policy = build_actor("adagen", generator, settings=paper)
        x, labels = torch.empty(1, 4, 64, 64), torch.zeros(1, dtype=torch.long)
        seen = torch.empty(1, 64, 1280)
    with torch.no_grad():
        step = count(
            lambda: backbone.network(
                x, torch.empty(1, device="meta"), generator.conditions(labels)
            ),
            1,
            backbone,
        )
        call = count(lambda: policy(seen, labels), 1, policy)
    assert generator.grid == (8, 8) and generator.feature_width == 1280
    assert call.flops < 0.01 * 2 * step.flops
