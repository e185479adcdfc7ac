"""Files of generators of other packages: fitted, written, read again, and what is bound to them."""

from typing import Any

import pytest
import torch
from grey import MODULE, content

from adagen.config import parse_config
from adagen.config.identity import policy_file
from adagen.data.split import load_dataset
from adagen.generators.base import Generator
from adagen.generators.build import build_generator, load_backbone, pretrain, save_backbone
from adagen.policy.files import load_policy, save_policy
from adagen.policy.networks import ConstantTable
from adagen.runtime.errors import AdagenError


def saved(config, path):
    """The generator of a configuration, fitted and written to its file."""
    split, settings = load_dataset(config.dataset), config.generators["g"]
    backbone = pretrain("g", settings, split=split, checkpoints=None)
    save_backbone(
        path,
        "g",
        backbone=backbone,
        settings=settings,
        dataset=config.dataset,
        image_shape=(1, 8, 8),
    )
    return backbone


@pytest.fixture
def made(install, tmp_path):
    """A generator's file, and the configuration that it belongs to."""
    install()
    config = parse_config(content(), "t")
    path = tmp_path / "g.safetensors"
    return path, config, saved(config, path)


def test_its_file_is_read_as_it_was_written(made):
    path, config, backbone = made
    read = load_backbone(path, "g", settings=config.generators["g"], dataset=config.dataset)
    assert torch.equal(read.mean, load_dataset(config.dataset).train.images.mean(0))
    assert torch.equal(read.weight, backbone.weight)
    assert not read.training and not any(p.requires_grad for p in read.parameters())
    assert build_generator(read, config.experiments["e"]).actions.calls == 4


def test_what_is_random_in_it_follows_from_its_name(made):
    _, config, backbone = made
    split, settings = load_dataset(config.dataset), config.generators["g"]
    assert torch.equal(
        pretrain("g", settings, split=split, checkpoints=None).weight, backbone.weight
    )
    assert not torch.equal(
        pretrain("h", settings, split=split, checkpoints=None).weight, backbone.weight
    )


def with_unsaved_buffer(values: str) -> str:
    """The package, with a buffer that is no part of its file."""
    line = "self.weight = torch.nn.Parameter(torch.randn(3))\n"
    buffer = f"self.register_buffer('unsaved', torch.{values}(3), persistent=False)\n"
    return MODULE.replace(line, f"{line}        {buffer}")


def test_a_buffer_that_is_not_saved_is_computed_again(install, tmp_path):
    install(module=with_unsaved_buffer("ones"))
    config, path = parse_config(content(), "t"), tmp_path / "g.safetensors"
    saved(config, path)
    read = load_backbone(path, "g", settings=config.generators["g"], dataset=config.dataset)
    assert torch.equal(read.to("cpu").unsaved, torch.ones(3))


def test_what_its_file_would_lose_is_refused_before_it_learns(install):
    module = with_unsaved_buffer("randn")
    install(
        module=module.replace("with torch.no_grad():", "raise RuntimeError('late')\n        if 1:")
    )
    config = parse_config(content(), "t")
    with pytest.raises(AdagenError, match=r"generator 'g'.*own file: unsaved differs"):
        pretrain("g", config.generators["g"], split=load_dataset(config.dataset), checkpoints=None)


def test_what_it_learns_beside_its_tensors_is_refused_before_it_is_saved(install):
    learn = "self.mean.copy_(train.images.mean(0))"
    install(module=MODULE.replace(learn, "self.brightness = train.images.mean().item()"))
    config = parse_config(content(), "t")
    with pytest.raises(AdagenError, match="own file: brightness is missing"):
        pretrain("g", config.generators["g"], split=load_dataset(config.dataset), checkpoints=None)


def test_a_generator_is_as_stochastic_as_its_settings_say(made, install):
    path, config, _ = made
    install(module=MODULE.replace("start = step", "stochastic = True\n    start = step"))
    config = parse_config(content(), "t")
    read = load_backbone(path, "g", settings=config.generators["g"], dataset=config.dataset)
    with pytest.raises(AdagenError, match=r"GreyGenerator\.stochastic is True, but its settings"):
        build_generator(read, config.experiments["e"])


def test_its_file_is_refused_by_another_version(made, install):
    path, config, _ = made
    install(version="1.1")
    told = r"package.version is '1.0' there and '1.1' here.*adagen pretrain g"
    with pytest.raises(AdagenError, match=told):
        load_backbone(path, "g", settings=config.generators["g"], dataset=config.dataset)


def test_its_file_is_not_bound_to_keys_outside_the_weights(made):
    path, config, _ = made
    other = parse_config(content(order=2), "t").generators["g"]
    assert load_backbone(path, "g", settings=other, dataset=config.dataset).section.order == 2
    other = parse_config(content(shade=0.1), "t").generators["g"]
    with pytest.raises(AdagenError, match=r"settings\.shade is 0\.5 there and 0\.1 here"):
        load_backbone(path, "g", settings=other, dataset=config.dataset)


def test_a_policy_is_bound_to_keys_outside_the_weights(made, tmp_path):
    path, config, _ = made

    def generator(order: int) -> Generator:
        section = parse_config(content(order=order), "t").generators["g"]
        backbone = load_backbone(path, "g", settings=section, dataset=config.dataset)
        return build_generator(backbone, config.experiments["e"])

    def bound_to(generator: Generator) -> dict[str, Any]:
        given = {"generator_hash": generator.hash, "sampler": generator.sampler}
        return policy_file("e", config.experiments["e"], **given)

    first, file = generator(1), tmp_path / "policy.safetensors"
    size = config.experiments["e"].policy
    save_policy(
        file, "tuned", actor=ConstantTable(4, 1), critic=None, size=size, metadata=bound_to(first)
    )
    load_policy(file, first, expected=bound_to(first))
    second = generator(2)
    with pytest.raises(AdagenError, match=r"sampler\.order is 1 there and 2 here"):
        load_policy(file, second, expected=bound_to(second))


def test_a_built_in_generators_file_is_not_its_own(made, tmp_path, tiny_backbone):
    _, config, _ = made
    other = parse_config(content(paradigm="sit"), "t").generators["g"]
    path = tmp_path / "sit.safetensors"
    save_backbone(
        path,
        "g",
        backbone=tiny_backbone("sit"),
        settings=other,
        dataset=config.dataset,
        image_shape=(1, 8, 8),
    )
    with pytest.raises(AdagenError, match=r"something else: .* file of generator 'g'"):
        load_backbone(path, "g", settings=config.generators["g"], dataset=config.dataset)
