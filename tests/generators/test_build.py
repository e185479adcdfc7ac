"""From settings to networks and back from files: fitted generators, and released weights."""

import hashlib
import shutil

import pytest
import torch

from adagen import config
from adagen.config import parse_config
from adagen.data.split import load_dataset
from adagen.generators.build import (
    build_backbone,
    build_generator,
    load_backbone,
    pretrain,
    released_backbone,
    save_backbone,
)
from adagen.policy.networks import HandMade
from adagen.runtime.errors import AdagenError
from adagen.runtime.noise import SampleNoise
from adagen.sampling.rollout import rollout

WEIGHTS = {"network": "net", "decoder": "dec", "classes": 5, "image": 32}
SIZE = {"network": {"width": 32, "depth": 2, "heads": 2}, "weights": WEIGHTS}
FIVE_LEVELS = {"width": 32, "multipliers": [1, 1, 1, 1, 1]}
GENERATORS = {
    "maskgit": {"tokeniser": {"kind": "vqgan", **FIVE_LEVELS, "channels": 4, "vocabulary": 8}},
    "var": {"scales": [1, 2], "tokeniser": {**FIVE_LEVELS, "channels": 4, "vocabulary": 8}},
    "dit": {"latent": {"width": 32, "multipliers": [1, 1, 1, 1]}},
    "sit": {"latent": {"width": 32, "multipliers": [1, 1, 1, 1]}},
}
STEPS = {"maskgit": 3, "var": 2, "dit": 2, "sit": 2}


def settings_of(family: str, **changes):
    """A released generator and an experiment with it, at a size that takes no time."""
    generator = {"paradigm": family, **SIZE, **GENERATORS[family], **changes}
    content = {"name": "t", "results": "r", "resources": "r"}
    content |= {
        "generators": {family: generator},
        "experiments": {"e": {"generator": family, "steps": STEPS[family]}},
    }
    parsed = parse_config(content, "test")
    return parsed.generators[family], parsed.experiments["e"]


def assets_in(folder) -> config.Assets:
    about = {"licence": "MIT", "description": "made by the test", "manual": "make it"}
    files = {"net": {"file": "net.pth", **about}, "dec": {"file": "dec.pth", **about}}
    return config.Assets(folder=str(folder), catalogue=files)


def publish(folder, backbone) -> None:
    """The files that somebody would release: a flat network, and a wrapped decoder."""
    part = "autoencoder" if hasattr(backbone, "autoencoder") else "tokeniser"
    torch.save(backbone.network.state_dict(), folder / "net.pth")
    torch.save({"state_dict": getattr(backbone, part).state_dict()}, folder / "dec.pth")


def scrambled(settings):
    """A backbone none of whose weights is zero."""
    backbone = build_backbone(settings, (3, 32, 32), num_classes=5)
    torch.manual_seed(0)
    for name, parameter in backbone.named_parameters():
        if name != "network.pos_embed":
            torch.nn.init.normal_(parameter, std=0.05)
    return backbone.eval().requires_grad_(False)


@torch.no_grad()
def images_of(backbone, experiment, batch: int = 3) -> torch.Tensor:
    generator = build_generator(backbone, experiment)
    labels, noise = torch.arange(batch), SampleNoise("test", 0, range(batch))
    return rollout(generator, HandMade(len(generator.actions.names)), labels=labels, noise=noise)


def test_released_weights_sample_as_the_networks_they_came_from(family, tmp_path):
    """Files of others, our file, and back: the same images, on the latents' own decoder."""
    settings, experiment = settings_of(family)
    original = scrambled(settings)
    publish(tmp_path, original)
    taken = released_backbone(settings, assets_in(tmp_path))
    expected = images_of(original, experiment)
    assert expected.shape == (3, 3, 32, 32) and expected.min() >= 0 and expected.max() <= 1
    assert torch.equal(images_of(taken, experiment), expected)
    path, dataset = tmp_path / "generator.safetensors", config.Dataset()
    save_backbone(
        path, "g", backbone=taken, settings=settings, dataset=dataset, image_shape=(3, 32, 32)
    )
    # Released weights belong to no data set.
    other = config.Dataset(name="cats", folder="cats")
    read = load_backbone(path, "g", settings=settings, dataset=other)
    assert torch.equal(images_of(read, experiment), expected)
    assert not taken.hash
    file_hash = hashlib.sha256(path.read_bytes()).hexdigest()
    assert build_generator(read, experiment).hash == read.hash == file_hash
    assert build_generator(read, experiment).released


def test_a_released_file_of_another_size_is_told(family, tmp_path):
    settings, _ = settings_of(family)
    publish(tmp_path, scrambled(settings))
    larger, _ = settings_of(family, network={"width": 64, "depth": 2, "heads": 2})
    with pytest.raises(AdagenError, match=r"net\.pth does not hold .*expected \(.*64.*found"):
        released_backbone(larger, assets_in(tmp_path))


def test_decoding_in_chunks_changes_memory_only(family):
    settings, experiment = settings_of(family)
    backbone = scrambled(settings)
    whole = images_of(backbone, experiment)
    backbone.decode_batch = 2
    torch.testing.assert_close(images_of(backbone, experiment), whole, atol=1e-5, rtol=0)


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_precision_is_that_of_the_network_only(family, precision):
    """Images come out in float32, near those of float32 networks where nothing is drawn."""
    settings, experiment = settings_of(family, precision=precision)
    images = images_of(scrambled(settings), experiment)
    assert images.dtype == torch.float32 and torch.isfinite(images).all()
    if family in ("dit", "sit"):
        exact = images_of(scrambled(settings_of(family)[0]), experiment)
        assert 0 < (images - exact).abs().max() < 0.05


FITTED = {
    "maskgit": {"tokeniser": {"vocabulary": 16}},
    "var": {"scales": [1, 8], "tokeniser": {"fit": {"updates": 2, "batch": 8}}},
    "dit": {},
    "sit": {},
}


def test_a_network_may_be_fitted_in_half_precision(family):
    """Its weights come out in float32, near those of a fit in float32; the tokeniser as there."""
    split, states = load_dataset(config.Dataset(name="digits", heldout=360)), []
    for precision in ("float32", "bfloat16"):
        fit = {"updates": 3, "batch": 16, "precision": precision}
        size = {"network": {"width": 16, "depth": 1, "heads": 2}, "weights": None}
        unreleased = {"latent": None} if family in ("dit", "sit") else {}
        changes = size | unreleased | FITTED[family] | {"pretrain": fit}
        settings, _ = settings_of(family, **changes)
        states.append(pretrain(family, settings, split=split, checkpoints=None).state_dict())
    whole, half = states
    network = [key for key in whole if key.startswith("network")]
    assert any(not half[key].equal(whole[key]) for key in network)
    for key, value in whole.items():
        assert half[key].dtype == value.dtype
        near = {"atol": 0.01, "rtol": 0.0} if key in network else {"atol": 0.0, "rtol": 0.0}
        torch.testing.assert_close(half[key], value, **near)


def test_sizes_that_do_not_fit_are_told():
    """Of an object in Python; a configuration is refused when it is read."""
    var = settings_of("var")[0].model_copy(update={"scales": (1, 3)})
    with pytest.raises(AdagenError, match=r"last of a generator's scales is 3, but .*side 2"):
        build_backbone(var, (3, 32, 32), num_classes=5)
    dit = settings_of("dit")[0].model_copy(update={"patch": 3})
    with pytest.raises(AdagenError, match="patch of a generator is 3"):
        build_backbone(dit, (3, 32, 32), num_classes=5)
    maskgit, _ = settings_of("maskgit")
    with pytest.raises(AdagenError, match=r"tokeniser.multipliers has 5 entries.*24x24"):
        build_backbone(maskgit, (3, 24, 24), num_classes=5)


def test_blocks_are_compiled_where_images_are_made(family, monkeypatch):
    """Each once, whatever is built of the backbone; the network behind them stays as it is."""
    compiled = []
    monkeypatch.setattr(
        torch.nn.Module, "compile", lambda self, **options: compiled.append((self, options))
    )
    settings, experiment = settings_of(family, compile="blocks")
    backbone = scrambled(settings)
    assert not compiled
    images = images_of(backbone, experiment)
    build_generator(backbone, experiment)
    assert len(compiled) == len({id(block) for block, _ in compiled}) > 0
    assert all(options == {"fullgraph": True} for _, options in compiled)
    plain, _ = settings_of(family)
    assert torch.equal(images, images_of(scrambled(plain), experiment))


def test_a_network_that_cannot_be_compiled_is_an_error(family):
    class Failed(Exception):
        __module__ = "torch._inductor.exc"

    settings, _ = settings_of(family, compile="blocks")
    message = r"can't be compiled \(no g\+\+\).* set generators\.<name>\.compile to 'nothing'"
    with pytest.raises(AdagenError, match=message), scrambled(settings).mixed():
        raise Failed("no g++")


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_precision_is_that_of_the_settings_also_inside_autocast(family, precision):
    settings, _ = settings_of(family, precision=precision)
    backbone = scrambled(settings)
    x = torch.ones(2, 2)
    for outside in (False, True):
        with torch.autocast("cpu", torch.bfloat16, enabled=outside), backbone.mixed():
            assert (x @ x).dtype == getattr(torch, precision)


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("g++"), reason="there is no C++ compiler")
def test_compiled_blocks_make_the_same_images():
    settings, experiment = settings_of("dit", compile="blocks")
    plain, _ = settings_of("dit")
    expected = images_of(scrambled(plain), experiment)
    torch.testing.assert_close(
        images_of(scrambled(settings), experiment), expected, atol=1e-5, rtol=0
    )


@pytest.mark.slow
def test_one_process_compiles_many_sizes(monkeypatch):
    """Four widths at batches of four, three and one are twelve versions of a block."""
    compile_module = torch.nn.Module.compile
    monkeypatch.setattr(
        torch.nn.Module,
        "compile",
        lambda self, **options: compile_module(self, backend="eager", **options),
    )
    for width in (32, 48, 64, 96):
        network = {"width": width, "depth": 2, "heads": 2}
        settings, experiment = settings_of("dit", network=network, compile="blocks")
        backbone = scrambled(settings)
        plain = scrambled(settings_of("dit", network=network)[0])
        for batch in (4, 3, 1):
            assert torch.equal(
                images_of(backbone, experiment, batch), images_of(plain, experiment, batch)
            )


@pytest.mark.parametrize("family", ["dit", "sit"])
def test_an_experiment_may_have_ordered_times(family):
    settings, experiment = settings_of(family)
    backbone = build_backbone(settings, (3, 32, 32), num_classes=5)
    ordered = experiment.model_copy(update={"times": "ordered"})
    for wanted, expected in ((experiment, ()), (ordered, ("time",))):
        generator = build_generator(backbone, wanted)
        assert generator.actions.ordered == expected
        labels, noise = torch.tensor([0, 4]), SampleNoise("test", 0, range(2))
        images = rollout(generator, HandMade(2), labels=labels, noise=noise)
        assert images.shape == (2, 3, 32, 32)
