"""Image folders and zips to read."""

import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

Files = dict[str, bytes]


def png(pixels: np.ndarray, mode: str | None = None) -> bytes:
    """(H, W) or (H, W, 3) bytes as a PNG file, converted to `mode` first."""
    image, stream = Image.fromarray(pixels.astype(np.uint8)), BytesIO()
    image = image if mode is None else image.convert(mode)
    image.save(stream, "PNG")
    return stream.getvalue()


@pytest.fixture(scope="session")
def as_png() -> Callable[..., bytes]:
    """`as_png(pixels, mode)`: the bytes of a PNG file."""
    return png


@pytest.fixture(scope="session")
def pixels() -> np.ndarray:
    """Twenty random colour images, (20, 8, 8, 3)."""
    return np.random.default_rng(0).integers(0, 256, (20, 8, 8, 3), dtype=np.uint8)


@pytest.fixture(scope="session")
def files(pixels: np.ndarray) -> Files:
    """The images of `pixels` as files: first ten cats, then ten dogs."""
    return {f"{('cat', 'dog')[i // 10]}/{i:02}.png": png(image) for i, image in enumerate(pixels)}


@pytest.fixture(params=["folder", "zip"])
def write(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[..., Path]:
    """`write(files, name)`: the files as a folder, and then as a zip."""

    def as_folder(files: Files, name: str = "images") -> Path:
        for file, content in files.items():
            path = tmp_path / name / file
            path.parent.mkdir(parents=True, exist_ok=True)
            if file.endswith("/"):
                path.mkdir()
            else:
                path.write_bytes(content)
        return tmp_path / name

    def as_zip(files: Files, name: str = "images") -> Path:
        with zipfile.ZipFile(tmp_path / f"{name}.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            for file, content in reversed(files.items()):  # the order in a zip says nothing
                archive.writestr(file, content)
        return tmp_path / f"{name}.zip"

    return as_folder if request.param == "folder" else as_zip
