"""Released weights: everything published is understood, everything else is refused in words."""

import argparse
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import nn

from adagen.data.weights import load_released, read_released
from adagen.evaluation.inception.network import Inception
from adagen.networks.dit import DiT
from adagen.networks.var import VAR
from adagen.networks.vqvae import MultiScaleVQVAE
from adagen.runtime.errors import AdagenError

State = dict[str, torch.Tensor]


def small_dit(side: int = 8, depth: int = 1) -> DiT:
    """Grey images in 2x2 patches."""
    return DiT(side, 2, channels=1, classes=10, width=16, depth=depth, heads=2, learn_sigma=False)


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "dit": small_dit,
    "var": lambda: VAR((1, 2, 3), 12, code_channels=5, classes=10, width=16, depth=2, heads=2),
    "vqvae": lambda: MultiScaleVQVAE(
        (1, 2, 4), 12, code_channels=5, width=32, channel_multipliers=(1,), image_channels=1
    ),
    "inception": lambda: Inception(shrink=16),
}


def random_state(make: Callable[[], nn.Module]) -> State:
    """A network's state with other parameters than it starts from; what it derives stays."""
    torch.manual_seed(1)
    network = make()
    for parameter in network.parameters():
        if parameter.requires_grad:
            nn.init.normal_(parameter)
    return {key: value.clone() for key, value in network.state_dict().items()}


@pytest.fixture
def state() -> State:
    """Of the small DiT."""
    return random_state(small_dit)


def on_meta(make: Callable[[], nn.Module]) -> nn.Module:
    """A network without memory, as large ones are built before loading."""
    with torch.device("meta"):
        return make()


def refused(path: Path, module: nn.Module | None = None) -> str:
    """The message about a file that can't be loaded; it names the file first."""
    with pytest.raises(AdagenError) as caught:
        load_released(module or small_dit(), path)
    message = str(caught.value)
    assert message.startswith(f"{path} ") and "\n" not in message
    return message


# What is understood


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("build", [on_meta, lambda make: make()])
def test_a_network_is_filled_exactly(
    tmp_path: Path, name: str, build: Callable[[Callable[[], nn.Module]], nn.Module]
) -> None:
    """Wherever it was built it ends on the CPU, as the file says, and as trainable as before."""
    path, state = tmp_path / "weights.pth", random_state(NETWORKS[name])
    torch.save(state, path)
    module = build(NETWORKS[name])
    frozen = [key for key, parameter in module.named_parameters() if not parameter.requires_grad]
    load_released(module, path)
    found = module.state_dict()
    assert found.keys() == state.keys()
    assert all(torch.equal(found[key], value) for key, value in state.items())
    assert frozen == [
        k for k, parameter in module.named_parameters() if not parameter.requires_grad
    ]


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: {"state_dict": state},
        lambda state: {"model": {"state_dict": state}, "epoch": 3},
        lambda state: {"model": {k: v + 1 for k, v in state.items()}, "ema": state, "opt": {}},
        lambda state: {f"module.{key}": value for key, value in state.items()},
        lambda state: {"model": state, "args": argparse.Namespace(lr=1e-4, name="run")},
        lambda state: state | {"text.embeddings.position_ids": torch.arange(4)},
        lambda state: {key: nn.Parameter(value) for key, value in state.items()},
    ],
    ids=["key", "nested", "average first", "prefix", "arguments", "position ids", "parameters"],
)
def test_wrappings_of_training_files(
    tmp_path: Path, state: State, wrap: Callable[[State], Any]
) -> None:
    """What trainers put around and beside the weights comes off."""
    path = tmp_path / "weights.pt"
    torch.save(wrap(state), path)
    found = read_released(path)
    assert found.keys() == state.keys()
    assert all(torch.equal(found[key], value) for key, value in state.items())
    assert not any(value.requires_grad for value in found.values())


def test_every_kind_of_file(tmp_path: Path, state: State) -> None:
    """The kind is told from the content: names are up to whoever published it."""
    torch.save(state, tmp_path / "new")
    torch.save(state, tmp_path / "old", _use_new_zipfile_serialization=False)
    safetensors.torch.save_file(state, tmp_path / "safe")
    for name in ("new", "old", "safe"):
        module = small_dit()
        load_released(module, tmp_path / name)
        assert all(torch.equal(v, state[k]) for k, v in module.state_dict().items()), name


def test_training_on_leaves_the_file_alone(tmp_path: Path, state: State) -> None:
    """Tensors may be mapped from it, but changes to them stay in memory."""
    torch.save(state, tmp_path / "new")
    safetensors.torch.save_file(state, tmp_path / "safe")
    for name in ("new", "safe"):
        before = (tmp_path / name).read_bytes()
        module = small_dit()
        load_released(module, tmp_path / name)
        with torch.no_grad():
            for parameter in module.parameters():
                parameter.add_(1)
        assert (tmp_path / name).read_bytes() == before


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_are_converted(tmp_path: Path, name: str, dtype: torch.dtype) -> None:
    """Also derived tensors, which a file of less precision holds less precisely."""
    path, state = tmp_path / "weights.pth", random_state(NETWORKS[name])
    halved = {key: value.to(dtype) for key, value in state.items()}
    torch.save(halved, path)
    module = on_meta(NETWORKS[name])
    types = {key: value.dtype for key, value in module.state_dict().items()}
    load_released(module, path)
    found = module.state_dict()
    assert {key: value.dtype for key, value in found.items()} == types
    assert all(torch.equal(value, halved[key].to(types[key])) for key, value in found.items())


@pytest.mark.parametrize(
    ("name", "ends"),
    [
        ("dit", "pos_embed"),
        ("var", ("lvl_1L", "attn_bias_for_masking", "zero_k_bias")),
        ("vqvae", "ema_vocab_hit_SV"),
        ("inception", "num_batches_tracked"),
    ],
)
def test_what_can_be_derived_may_be_absent(
    tmp_path: Path, name: str, ends: str | tuple[str, ...]
) -> None:
    """A file without it gives the same network as one with it."""
    path, state = tmp_path / "weights.pth", random_state(NETWORKS[name])
    kept = {key: value for key, value in state.items() if not key.endswith(ends)}
    assert len(kept) < len(state)
    torch.save(kept, path)
    module = on_meta(NETWORKS[name])
    load_released(module, path)
    assert all(torch.equal(value, state[key]) for key, value in module.state_dict().items())


def test_usage_statistics_fit_or_are_forgotten(tmp_path: Path) -> None:
    """They depend on how many scales the training run had; no result does."""
    path, key = tmp_path / "vae.pth", "quantize.ema_vocab_hit_SV"
    state = random_state(NETWORKS["vqvae"])
    for counts in (torch.rand(3, 12), torch.rand(10, 12)):
        torch.save(state | {key: counts}, path)
        module = NETWORKS["vqvae"]()
        load_released(module, path)
        expected = counts if len(counts) == 3 else torch.zeros(3, 12)
        assert torch.equal(module.state_dict()[key], expected)


# What is refused


@pytest.mark.parametrize("name", ["pos_embed", "blocks.0.attn.zero_k_bias", "lvl_1L"])
def test_derived_tensors_are_checked(tmp_path: Path, name: str) -> None:
    """Of the right shape, but of a network that was built differently."""
    make = NETWORKS["dit" if name == "pos_embed" else "var"]
    path, state = tmp_path / "weights.pth", random_state(make)
    state[name].view(-1)[0] += 1
    torch.save(state, path)
    assert f"another {name} than the network derives" in refused(path, make())


def test_keys_and_shapes_are_counted_and_the_first_named(tmp_path: Path, state: State) -> None:
    """One paragraph says all that is wrong, and nothing is loaded."""
    path = tmp_path / "weights.pth"
    gone = [state.pop("blocks.0.attn.qkv.bias"), state.pop("final_layer.linear.bias")]
    state["x_embedder.proj.weight"] = torch.zeros(16, 3, 2, 2)
    state["blocks.1.extra"] = gone[0]
    torch.save(state, path)
    module = small_dit()
    before = module.x_embedder.proj.weight.clone()
    message = refused(path, module)
    assert "does not hold the expected DiT" in message
    assert "2 of its keys missing (first blocks.0.attn.qkv.bias)" in message
    assert "1 of its keys unexpected (first blocks.1.extra)" in message
    assert "first x_embedder.proj.weight: expected (16, 1, 2, 2), found (16, 3, 2, 2)" in message
    assert "right file" in message and "sizes in the config" in message
    assert torch.equal(module.x_embedder.proj.weight, before)


def test_another_network(tmp_path: Path, state: State) -> None:
    """Of another size, or of another architecture."""
    path = tmp_path / "weights.pth"
    torch.save(state, path)
    assert "pos_embed: expected (1, 64, 16), found (1, 16, 16)" in refused(path, small_dit(16))
    assert "keys missing (first blocks.1." in refused(path, small_dit(depth=2))
    assert "does not hold the expected VAR" in refused(path, NETWORKS["var"]())


class Planted:
    """What an attacker puts into a pickle: a command that runs as soon as it is read."""

    def __init__(self, witness: Path) -> None:
        self.witness = witness

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (f"touch {self.witness}",)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol 4")
def test_nothing_in_a_file_is_executed(tmp_path: Path, state: State) -> None:
    """Neither in the new format, nor in the old one, nor in a bare pickle."""
    witness = tmp_path / "it-ran"
    content = {"ema": state, "args": Planted(witness)}
    torch.save(content, tmp_path / "new.pth")
    torch.save(content, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    for protocol in (2, 4):
        (tmp_path / f"bare{protocol}.pth").write_bytes(pickle.dumps(Planted(witness), protocol))
    for name in ("new", "old", "bare2", "bare4"):
        message = refused(tmp_path / f"{name}.pth")
        assert "run code of the file" in message or "cannot be read as weights" in message, name
        assert not witness.exists()
    assert "system" in refused(tmp_path / "new.pth")
    pickle.loads((tmp_path / "bare2.pth").read_bytes())
    assert witness.exists()  # so it would have run


def test_only_the_command_line_is_let_in(tmp_path: Path, state: State) -> None:
    """Other classes are refused, inside a command line too, and not only while one is read."""
    path = tmp_path / "weights.pth"
    torch.save({"model": state, "args": argparse.Namespace(folder=argparse.Action)}, path)
    assert "argparse.Action" in refused(path)
    torch.save({"model": state, "args": argparse.Namespace()}, path)
    read_released(path)
    with pytest.raises(pickle.UnpicklingError):
        torch.load(path, weights_only=True)


@pytest.mark.parametrize("kind", ["new", "old", "safe"])
@pytest.mark.parametrize("part", [0.5, 0.99])
def test_cut_short(tmp_path: Path, state: State, kind: str, part: float) -> None:
    """A download that broke off."""
    path = tmp_path / "weights"
    if kind == "safe":
        safetensors.torch.save_file(state, path)
    else:
        torch.save(state, path, _use_new_zipfile_serialization=kind == "new")
    whole = path.read_bytes()
    path.write_bytes(whole[: int(part * len(whole))])
    assert "cut short or damaged" in refused(path)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "is empty"),
        (b"<!DOCTYPE html>\n<html><body>404 Not Found</body></html>", "is a web page"),
        (b'\n\n<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', "is a web page"),
        (b'{"error": "not found"}', "cannot be read as weights"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "cannot be read"),
        (bytes(range(256)), "cannot be read as weights"),
        (b"PK\x03\x04" + bytes(100), "cannot be read as weights"),
    ],
)
def test_not_weights_at_all(tmp_path: Path, content: bytes, told: str) -> None:
    """What servers send in place of a file."""
    path = tmp_path / "weights.pth"
    path.write_bytes(content)
    assert told in refused(path)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ([torch.zeros(2)], "holds no weights"),
        ({}, "holds no weights"),
        ({"model": {}}, "holds no weights"),
        ({"weight": torch.zeros(2), "epoch": 3}, "'epoch' is no tensor"),
        ({1: torch.zeros(2)}, "1 is no tensor"),
    ],
)
def test_torch_files_of_something_else(tmp_path: Path, content: Any, told: str) -> None:
    """Readable, but no weights by key."""
    path = tmp_path / "weights.pth"
    torch.save(content, path)
    assert told in refused(path)


def test_no_file(tmp_path: Path) -> None:
    """Missing, or a folder."""
    assert "does not exist" in refused(tmp_path / "gone.pth")
    assert "is a folder" in refused(tmp_path)
