"""Files of weights as others save them: training files, indices of several files, pinned files."""

import json
import os
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from damage import flip
from hypothesis import given, settings
from hypothesis import strategies as st

from adagen.config import Asset, Assets
from adagen.data import pins
from adagen.data.released import open_asset
from adagen.data.weights import load_released, read_released
from adagen.networks.dit import DiT
from adagen.runtime.errors import AdagenError
from adagen.runtime.hashing import file_hash

State = dict[str, torch.Tensor]


def small_dit() -> DiT:
    return DiT(8, 2, channels=1, classes=10, width=16, depth=1, heads=2, learn_sigma=False)


def state(seed: int) -> State:
    torch.manual_seed(seed)
    made = small_dit()
    for parameter in made.parameters():
        if parameter.requires_grad:
            torch.nn.init.normal_(parameter)
    return {key: value.clone() for key, value in made.state_dict().items()}


PLAIN, MEAN = state(1), state(2)
OPTIMISER = {"state": {0: {"exp_avg": torch.ones(2)}}, "param_groups": [{"lr": 1e-4}]}


def under(prefix: str, tensors: State) -> State:
    return {f"{prefix}{key}": value for key, value in tensors.items()}


def refused(path: Path) -> str:
    with pytest.raises(AdagenError) as caught:
        load_released(small_dit(), path)
    message = str(caught.value)
    assert message.startswith(f"{path} ") and "\n" not in message
    return message


def holds(path: Path, expected: State) -> bool:
    module = small_dit()
    load_released(module, path)
    return all(torch.equal(value, expected[key]) for key, value in module.state_dict().items())


# Training files


@pytest.mark.parametrize(
    "content",
    [
        {"state_dict": PLAIN, "state_dict_ema": MEAN, "epoch": 3},  # timm
        {"model": PLAIN, "model_ema": MEAN, "optimizer": OPTIMISER},  # MAR
        {"model": PLAIN, "ema": MEAN, "opt": OPTIMISER},  # DiT, SiT
        {"model": PLAIN, "ema_model": under("module.", MEAN)},
        {"params": PLAIN, "params_ema": MEAN},  # BasicSR
        {"model": PLAIN, "ema_params": {k: v for k, v in MEAN.items() if k != "pos_embed"}},
        {"state_dict": {**under("model.", PLAIN), **under("ema_model.", MEAN)}},  # Lightning
        {"model": PLAIN, "ema": {"decay": 0.999, "shadow": MEAN}},
        {"online": PLAIN, "ema": {"n_averaged": torch.tensor(1), **under("module.", MEAN)}},
        {"g": PLAIN, "d": {"w": torch.ones(1)}, "g_ema": MEAN, "d_optim": OPTIMISER},  # StyleGAN2
    ],
)
def test_the_averaged_weights_of_training_files(tmp_path, content):
    torch.save(content, tmp_path / "x.pt")
    assert holds(tmp_path / "x.pt", MEAN)


@pytest.mark.parametrize(
    "content",
    [
        {"epoch": 1, "trainer": {"var_wo_ddp": MEAN, "var_opt": OPTIMISER}, "args": {}},  # VAR
        {"iter": 3, "model_state_dict": MEAN, "optimizer_state_dict": OPTIMISER},  # Halton
        under("_orig_mod.", MEAN),
        under("module._orig_mod.", MEAN),
        {"state_dict": {**under("model.", MEAN), "loss.weight": torch.ones(1)}, "epoch": 1},
        {"model": {key.replace("attn.", "attn._orig_mod."): v for key, v in MEAN.items()}},
        {"module": under("module.", MEAN), "optimizer": OPTIMISER},  # DeepSpeed
    ],
)
def test_the_only_weights_of_training_files(tmp_path, content):
    torch.save(content, tmp_path / "x.pt")
    assert holds(tmp_path / "x.pt", MEAN)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ({"model": PLAIN, "ema": {"shadow_params": list(MEAN.values())}}, "not by key"),
        ({"ema": MEAN, "model_ema": PLAIN}, "several sets of averaged weights"),
        ({"model": PLAIN, "ema": {"pos": torch.ones(1)}}, "does not hold the expected DiT"),
    ],
)
def test_averaged_weights_that_cannot_be_read_are_an_error(tmp_path, content, told):
    """The others are never taken in their place."""
    torch.save(content, tmp_path / "x.pt")
    assert told in refused(tmp_path / "x.pt")


def test_a_good_file_in_the_wrong_place_is_not_to_be_deleted(tmp_path):
    for name, content in (
        ("list.pt", [torch.ones(2)]),
        ("other.pt", {"weight": torch.ones(2)}),
        ("mixed.pt", {"weight": torch.ones(2), "epoch": 3}),
    ):
        torch.save(content, tmp_path / name)
    (tmp_path / "page.html").write_text("<html>my thesis</html>")
    (tmp_path / "notes.txt").write_text("not weights")
    (tmp_path / "data.json").write_text('{"a": 1}')
    (tmp_path / "empty").touch()
    for path in tmp_path.iterdir():
        assert not re.search(r"(?i)\b(delete|remove|overwrite)", refused(path)), path.name


# Several files


Index = Callable[..., Path]


@pytest.fixture
def index(tmp_path) -> Index:
    def write(tensors: State = MEAN, count: int = 3, **changed: str) -> Path:
        """Spread tensors over files, with an index beside them."""
        places = {key: f"part{i % count}.safetensors" for i, key in enumerate(tensors)}
        for name in set(places.values()):
            part = {key: tensors[key] for key, place in places.items() if place == name}
            safetensors.torch.save_file(part, tmp_path / name)
        path = tmp_path / "model.safetensors.index.json"
        weight_map = {**places, **changed}
        path.write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": weight_map}))
        return path

    return write


def test_an_index_stands_for_its_files(index):
    assert holds(index(), MEAN)
    assert holds(index(under("module._orig_mod.", MEAN)), MEAN)


def test_an_index_of_torch_files(tmp_path):
    torch.save(MEAN, tmp_path / "part.bin")
    path = tmp_path / "pytorch_model.bin.index.json"
    path.write_text(json.dumps({"weight_map": dict.fromkeys(MEAN, "part.bin")}))
    assert holds(path, MEAN)


def test_files_of_an_index_that_are_missing_are_counted(index, tmp_path):
    path = index()
    (tmp_path / "part1.safetensors").unlink()
    told = refused(path)
    assert "index of 3 files, of which 1 are missing (first part1.safetensors)" in told


@pytest.mark.parametrize("name", ["../a.safetensors", "/etc/passwd", "sub/a", "..", ".", "", 3])
def test_files_of_an_index_lie_beside_it(index, tmp_path, name):
    (tmp_path.parent / "a.safetensors").write_bytes(b"")
    assert "none of its own folder" in refused(index(pos_embed=name))


def test_files_of_an_index_hold_what_it_says(index, tmp_path):
    with pytest.raises(AdagenError, match=r"part0\.safetensors does not hold the tensors"):
        read_released(index(extra="part0.safetensors"))
    path = index()
    safetensors.torch.save_file({**MEAN}, tmp_path / "part0.safetensors")
    with pytest.raises(AdagenError, match=r"part0\.safetensors does not hold the tensors"):
        read_released(path)


@pytest.mark.parametrize("content", ["{}", '{"weight_map": []}', '{"weight_map": {"a": []}}', "{"])
def test_other_json_is_no_index(tmp_path, content):
    path = tmp_path / "x.json"
    path.write_text(content)
    assert "cannot be read as weights" in refused(path)


# Pins


@pytest.fixture
def pinned(tmp_path) -> Path:
    path = tmp_path / "x.pt"
    safetensors.torch.save_file(MEAN, path)
    pins.write(path, path, digest=file_hash(path))
    return path


def swap(path: Path, content: State, *, keep_time: bool) -> None:
    """Other weights of equal size take the place of a file."""
    status = path.stat()
    safetensors.torch.save_file(content, path)
    if keep_time:
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


@pytest.mark.parametrize("keep_time", [False, True])
def test_a_pinned_file_is_verified_whenever_it_is_read(pinned, keep_time):
    for _ in range(2):
        assert holds(pinned, MEAN)
        swap(pinned, PLAIN, keep_time=keep_time)
        assert "was pinned" in (told := refused(pinned)) and "move this one away" in told
        swap(pinned, MEAN, keep_time=keep_time)
    pins.pin_path(pinned).unlink()
    swap(pinned, PLAIN, keep_time=keep_time)
    assert holds(pinned, PLAIN)


def test_files_of_an_index_have_pins_too(index, tmp_path):
    path, part = index(), tmp_path / "part0.safetensors"
    pins.write(part, part, digest=file_hash(part))
    assert holds(path, MEAN)
    index(PLAIN)
    with pytest.raises(AdagenError, match=r"part0\.safetensors has the SHA-256 .* was pinned"):
        read_released(path)


@settings(max_examples=25, deadline=None)
@given(where=st.floats(0, 1, exclude_max=True), cut=st.booleans())
def test_a_damaged_pin_is_noticed(tmp_path_factory, where, cut):
    path = tmp_path_factory.mktemp("pins") / "x.pt"
    path.write_bytes(b"content")
    pins.write(path, path, digest=file_hash(path))
    pin = pins.pin_path(path)
    if cut:
        pin.write_bytes(pin.read_bytes()[: int(64 * where)])
    else:
        flip(pin, where * 64 / len(pin.read_bytes()))
    with pytest.raises(AdagenError, match=r"is damaged|was pinned"), pins.verified(path):
        pass


@pytest.mark.parametrize(
    "published",
    [{"sha256": "0" * 64}, {"sha256": "01234567"}, {"size": 7}],
    ids=["whole", "part", "size"],
)
def test_what_is_published_counts_without_a_pin(tmp_path, published):
    """Of any file of the catalogue, statistics too."""
    entry = Asset(**{"file": "x.npz", "licence": "", "description": "", "manual": "-", **published})
    assets: Any = Assets(folder=str(tmp_path), catalogue={"mine": entry})
    (tmp_path / "x.npz").write_bytes(b"other content")
    opened = False
    with pytest.raises(AdagenError, match=r"x\.npz has"), open_asset(assets, "mine"):
        opened = True
    assert not opened  # nothing is made from it


def test_a_file_that_changes_while_it_is_read(pinned):
    with pytest.raises(AdagenError, match="changed while it was read"), pins.verified(pinned):
        swap(pinned, PLAIN, keep_time=True)


@pytest.mark.parametrize("save", [torch.save, safetensors.torch.save_file])
def test_weights_stay_what_was_checked_whatever_is_written_into_the_file(tmp_path, save):
    """A file that is mapped into memory would change them."""
    path = tmp_path / "w.pt"
    save(MEAN, path)
    found = read_released(path)
    with path.open("r+b") as stream:
        stream.write(b"\xff" * path.stat().st_size)
    assert found.keys() == MEAN.keys() and all(found[k].equal(MEAN[k]) for k in MEAN)


# Files that are taken for another kind


@pytest.mark.parametrize("length", [0x3C20, 0x7B20])
def test_tensors_whose_header_begins_like_a_web_page_or_an_index(tmp_path, length):
    """Its length in bytes, which comes first, reads " <" or " {"."""
    path = tmp_path / "w.safetensors"
    safetensors.torch.save_file(PLAIN, path)
    written = path.read_bytes()
    header = int.from_bytes(written[:8], "little")
    padded = written[8 : 8 + header].ljust(length)
    path.write_bytes(length.to_bytes(8, "little") + padded + written[8 + header :])
    assert path.read_bytes().lstrip()[:1] in b"<{" and holds(path, PLAIN)


def test_an_index_of_itself(tmp_path):
    path = tmp_path / "model.safetensors.index.json"
    path.write_text(json.dumps({"weight_map": {"a": path.name}}))
    with pytest.raises(AdagenError, match="cannot be read as weights"):
        read_released(path)
    path.write_text('{"weight_map": ' + "[" * 100_000)
    with pytest.raises(AdagenError, match="cannot be read as weights"):
        read_released(path)


def test_a_file_of_torch_that_was_compressed(tmp_path):
    """Its bytes would be mapped as they are."""
    torch.save(PLAIN, tmp_path / "w.pth")
    with (
        zipfile.ZipFile(tmp_path / "w.pth") as whole,
        zipfile.ZipFile(tmp_path / "packed.pth", "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        for name in whole.namelist():
            packed.writestr(name, whole.read(name))
    assert "cannot be read as weights" in refused(tmp_path / "packed.pth")
