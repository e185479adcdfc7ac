"""Measuring by a released network, as a user does it: pretrain, reference, measure."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from adagen.evaluation.inception.network import Inception
from adagen.runtime.hashing import file_hash
from adagen.runtime.noise import seeded

FILES = "--networks metrics.safetensors --reference real.safetensors"
ASSET = {"licence": "none", "description": "for tests", "manual": "made by the test"}
NAMES = ("fid", "fid_label_free", "sfid", "inception_score", "precision", "recall")


def inception() -> dict[str, torch.Tensor]:
    """Weights of a narrow network whose features differ between images."""
    state = Inception(16).state_dict()
    with seeded("inception"):
        for key, value in state.items():
            if key.endswith("conv.weight"):
                value.normal_(std=(2 / value[0].numel()) ** 0.5)
    return state


def pixels(seed: int, count: int) -> np.ndarray:
    """(N, 8, 8, 3) smooth random images."""
    coarse = torch.rand(count, 3, 3, 3, generator=torch.Generator().manual_seed(seed))
    smooth = torch.nn.functional.interpolate(coarse, 8, mode="bilinear")
    return (smooth * 255).round().byte().permute(0, 2, 3, 1).numpy()


def write(folder: Path, images: np.ndarray) -> None:
    folder.mkdir(parents=True)
    for row, image in enumerate(images):
        Image.fromarray(image).save(folder / f"{row:04d}.png")


@pytest.fixture
def protocol(console):
    """`protocol(name, **evaluation)`: a configuration of that protocol, and its assets."""
    assets = console.folder / "assets"
    assets.mkdir()
    torch.save(inception(), assets / "inception.pth")
    features = np.random.RandomState(0).normal(size=(300, 128))
    np.savez(assets / "real.npz", mu=features.mean(0), sigma=np.cov(features, rowvar=False))
    catalogue = {
        "network": {"file": "inception.pth", **ASSET},
        "real": {"file": "real.npz", **ASSET},
    }

    def configure(name: str, **evaluation: object) -> None:
        content = yaml.safe_load((console.folder / "config.yaml").read_text())
        content["assets"] = {"folder": "assets", "catalogue": catalogue}
        content["dataset"] = {"name": "smooth", "folder": "images", "heldout": 10}
        content["sweep"]["samples"] = content["training"]["validate_samples"] = 150
        content["evaluation"] = {
            "protocol": name,
            "samples": 150,
            "inception": {"weights": "network", "shrink": 16},
            **evaluation,
        }
        (console.folder / "config.yaml").write_text(yaml.safe_dump(content))

    return configure


def test_authors_with_a_statistics_file(console, protocol, capsys):
    protocol("authors", reference="real")
    console("pretrain metrics --out metrics.safetensors")
    console("reference --networks metrics.safetensors --out real.safetensors")
    np.savez("samples.npz", pixels(0, 130))
    capsys.readouterr()
    console(f"measure samples.npz {FILES} --out samples.json")
    written = json.loads(Path("samples.json").read_text())
    assert json.loads(capsys.readouterr().out) == written
    weights, real = file_hash(Path("assets/inception.pth")), file_hash(Path("assets/real.npz"))
    name = f"smooth-authors-inception.{weights[:8]}-reference.{real[:8]}-v1"
    assert (written["protocol"], written["kind"], written["count"]) == (name, "npz", 130)
    assert written["reference_count"] is None
    assert [written["mean"][key] is None for key in NAMES] == [0, 1, 1, 0, 1, 1]
    assert written["hashes"] == {
        "source": file_hash(Path("samples.npz")),
        "networks": file_hash(Path("metrics.safetensors")),
        "reference": file_hash(Path("real.safetensors")),
    }

    # A reference and a network of another protocol are not mixed with these.
    protocol("clean")
    message = console.mistake(f"measure samples.npz {FILES} --out o.json")
    assert "protocol is 'authors' there and 'clean' here" in message
    console("pretrain metrics --out metrics.safetensors")
    message = console.mistake(f"measure samples.npz {FILES} --out o.json")
    assert "numbers of two protocols can't be compared" in message
    # Statistics that are not what they should be write nothing.
    protocol("authors", reference="real")
    console("pretrain metrics --out metrics.safetensors")
    np.savez("assets/real.npz", mean=np.zeros(128))
    message = console.mistake("reference --networks metrics.safetensors --out o.safetensors")
    assert "assets/real.npz has no array 'mu', only mean" in message
    Path("assets/real.npz").unlink()
    message = console.mistake("reference --networks metrics.safetensors --out o.safetensors")
    assert "real.npz" in message


@pytest.mark.slow
def test_adm_with_a_folder_of_images(console, protocol):
    protocol("adm")
    for number in range(2):
        write(console.folder / "images" / f"class{number}", pixels(number, 75))
    console("pretrain metrics --out metrics.safetensors")
    console("reference --networks metrics.safetensors --out real.safetensors")
    write(console.folder / "samples", pixels(7, 130))
    console(f"measure samples {FILES} --out samples.json")
    written = json.loads(Path("samples.json").read_text())
    assert written["protocol"].startswith("smooth-adm-inception.")
    assert (written["kind"], written["count"], written["reference_count"]) == (
        "image files",
        130,
        140,
    )
    assert [written["mean"][key] is None for key in NAMES] == [0, 1, 0, 0, 0, 0]
    assert written["mean"]["fid"] > 0 and written["mean"]["sfid"] > 0

    (console.folder / "samples" / "0100.png").write_bytes(b"broken")
    message = console.mistake(f"measure samples {FILES} --out o.json")
    assert "samples/0100.png cannot be read as an image" in message
    message = console.mistake(f"measure gone {FILES} --out o.json")
    assert "gone does not exist" in message
    np.savez("few.npz", pixels(0, 128))
    message = console.mistake(f"measure few.npz {FILES} --out o.json")
    assert "few.npz, images: 128 images are too few" in message


def test_a_network_that_is_taken_over_leaves_the_checkpoints_of_others(console, protocol):
    protocol("authors", reference="real")
    for name in ("vqgan.ckpt", "belongs_to.json"):
        Path("assets", name).write_text("put there by hand")
    console("pretrain metrics --out metrics.safetensors --checkpoint assets")
    assert {"vqgan.ckpt", "belongs_to.json"} <= {path.name for path in Path("assets").iterdir()}
