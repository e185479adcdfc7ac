"""Stages notice other images under old names, and don't go on with what was fitted to those."""

import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
import yaml
from console import CONFIG
from saving import save_every_update

from adagen.rewards import features
from adagen.training import loop as training
from tests.cli.test_stages import TRAIN, Killed, kill


def write_zip(seed: int) -> None:
    """Forty images of two classes; names and sizes are the same for every seed."""
    random = np.random.default_rng(seed)
    with zipfile.ZipFile("images.zip", "w") as archive:
        for number in range(40):
            pixels = random.integers(0, 256, (8, 8), dtype=np.uint8).tobytes()
            archive.writestr(f"{'ab'[number % 2]}/{number:02}.pgm", b"P5\n8 8\n255\n" + pixels)


def write_folder(seed: int) -> None:
    write_zip(seed)
    shutil.rmtree("images.zip.d", ignore_errors=True)
    shutil.unpack_archive("images.zip", "images.zip.d")
    Path("images.zip").unlink()
    Path("images.zip.d").rename("images.zip")


@pytest.fixture(params=[write_zip, write_folder], ids=["zip", "folder"])
def write(console, request):
    dataset = {"name": "mine", "folder": "images.zip", "heldout": 20}
    Path("config.yaml").write_text(yaml.safe_dump({**CONFIG, "dataset": dataset}))

    def write(seed: int) -> None:
        if Path("images.zip").is_dir():
            shutil.rmtree("images.zip")
        request.param(seed)

    write(0)
    return write


def test_a_fit_is_not_continued_with_other_images(console, write, monkeypatch):
    command = "pretrain reward --out o.safetensors --checkpoint resume"
    save_every_update(monkeypatch)
    with pytest.MonkeyPatch.context() as patch:
        kill(patch, features.MaskedAutoencoder, "loss", 2)
        with pytest.raises(Killed):
            console.status(command)
    write(1)
    told = console.mistake(command)
    assert "resume/reward.ckpt was written" in told and "images is" in told
    write(0)
    console(command)


def test_an_inventory_is_compared_with_the_images_that_are_read(console, write):
    console("dataset --out resources/dataset.json")
    before = Path("resources/dataset.json").read_bytes()
    write(1)
    message = console.mistake("pretrain reward --out o.safetensors")
    assert "images.zip does not hold the images that resources/dataset.json lists" in message
    console("dataset --out resources/dataset.json")
    assert Path("resources/dataset.json").read_bytes() != before
    console("pretrain reward --out o.safetensors")
    write(0)
    console("dataset --out resources/dataset.json")
    assert Path("resources/dataset.json").read_bytes() == before
    # One of an older version, which says nothing of the content, is no reason to refuse them.
    Path("resources/dataset.json").write_text('{"file_list_hash": "0"}')
    console("pretrain reward --out o.safetensors")


def test_a_training_is_not_continued_with_other_images(console, write):
    for command in (
        "pretrain flow --out flow.safetensors",
        "pretrain metrics --out metrics.safetensors",
        "pretrain reward --out reward.safetensors",
        "reference --networks metrics.safetensors --out real.safetensors",
    ):
        console(command)
    command = f"{TRAIN} --method static --out o.safetensors --log l --checkpoint resume"
    with pytest.MonkeyPatch.context() as patch:
        kill(patch, training, "collect", 2)
        with pytest.raises(Killed):
            console.status(command)
    write(1)
    assert "resume holds the resumable state of something else: images is" in console.mistake(
        command
    )
    write(0)
    console(command)
