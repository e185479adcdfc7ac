import struct
import time
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from adagen.evaluation.npz import NpzImages, array_names, read_gaussian
from adagen.runtime.errors import AdagenError


@pytest.fixture
def statistics() -> dict[str, np.ndarray]:
    x = np.random.RandomState(0).normal(size=(50, 6))
    return {"mu": x.mean(0), "sigma": np.cov(x, rowvar=False)}


def test_statistics(tmp_path, statistics):
    path = tmp_path / "s.npz"
    np.savez(path, **statistics)
    gaussian = read_gaussian(path, "mu", covariance="sigma", dimension=6)
    assert np.array_equal(gaussian.mean.numpy(), statistics["mu"])
    assert np.array_equal(gaussian.covariance.numpy(), statistics["sigma"])
    assert gaussian.mean.dtype == gaussian.covariance.dtype == torch.float64


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"sigma": None}, r"no array 'sigma', only mu: .*6 x 6"),
        ({"mu": np.zeros(5)}, r"array 'mu': .*\(6,\), found float64 of shape \(5,\)"),
        ({"sigma": np.full((6, 6), np.nan)}, "array 'sigma': .*NaN"),
        ({"sigma": np.arange(36.0).reshape(6, 6)}, "symmetric"),
        ({"mu": np.array([{}] * 6)}, "found object of shape"),
        ({"mu": np.array(["a"] * 6)}, "array 'mu': expected finite numbers"),
    ],
)
def test_statistics_that_are_none(tmp_path, statistics, change, told):
    path = tmp_path / "s.npz"
    arrays = {**statistics, **change}
    np.savez(path, **{key: value for key, value in arrays.items() if value is not None})
    with pytest.raises(AdagenError, match=told) as error:
        read_gaussian(path, "mu", covariance="sigma", dimension=6)
    assert str(path) in str(error.value)


def test_images_come_back_in_batches_of_any_size(tmp_path, pictures, write_npz):
    images = NpzImages.open(write_npz(tmp_path / "i.npz", pictures, arr_1=np.arange(40)))
    assert len(images) == 40
    for size in (1, 37, 1000):
        batches = list(images.batches(size))
        assert torch.equal(torch.cat(batches), pictures)
        assert max(len(batch) for batch in batches) == min(size, 40)


@pytest.mark.parametrize(
    ("arrays", "told"),
    [
        ({"images": np.zeros((2, 4, 4, 3), np.uint8)}, "no array 'arr_0', only images"),
        ({"arr_0": np.zeros((2, 4, 4, 3))}, "found float64"),
        ({"arr_0": np.zeros((2, 3, 4, 4), np.uint8)}, r"found uint8 of shape \(2, 3, 4, 4\)"),
        ({"arr_0": np.zeros((4, 4, 3), np.uint8)}, r"\(4, 4, 3\)"),
        ({"arr_0": np.asfortranarray(np.zeros((2, 4, 4, 3), np.uint8))}, "C order"),
        ({"arr_0": np.array([{}])}, "found object"),
    ],
)
def test_images_that_are_none(tmp_path, arrays, told):
    path = tmp_path / "i.npz"
    np.savez(path, **arrays)
    with pytest.raises(AdagenError, match=told) as error:
        NpzImages.open(path)
    assert str(path) in str(error.value)


def test_a_file_that_is_no_archive(tmp_path):
    for name, content in (("text.npz", b"hello"), ("pickle.npz", b"\x80\x04]\x94."), ("no", b"")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(AdagenError, match="cannot be read as a NumPy archive"):
            array_names(tmp_path / name)
    with pytest.raises(AdagenError, match="does not exist"):
        array_names(tmp_path / "gone.npz")


def test_a_truncated_archive(tmp_path, pictures, write_npz):
    path = write_npz(tmp_path / "i.npz", pictures)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(AdagenError, match="truncated"):
        NpzImages.open(path)


def test_damage_in_the_middle_is_noticed(tmp_path, pictures, write_npz):
    path = write_npz(tmp_path / "i.npz", pictures)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(AdagenError, match="damaged"):
        list(NpzImages.open(path).batches(15))


def write_bare(path: Path, header: bytes, size: int, version: bytes = b"\1\0") -> Path:
    """An archive whose array has this header, and zeros of any number behind it, well packed."""
    length = struct.pack("<H" if version == b"\1\0" else "<I", len(header))
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("arr_0.npy", "w", force_zip64=True) as out,
    ):
        out.write(b"\x93NUMPY" + version + length + header)
        for _ in range(size // 10**6):
            out.write(bytes(10**6))
        out.write(bytes(size % 10**6))
    return path


def described(shape: object, descr: str = "|u1") -> bytes:
    return repr({"descr": descr, "fortran_order": False, "shape": shape}).encode() + b"\n"


@pytest.mark.parametrize(
    ("shape", "size", "told"),
    [
        ((-5, 8, 8, 1), 64_000, "no array has the shape"),
        ((300, 0, 8, 1), 0, "found uint8 of shape"),
        ((0, 8, 8, 1), 0, "found uint8 of shape"),
        ((300, 8, 8, 1), 64_000, r"takes 19,200 bytes, but there are 64,000"),
        ((10**18, 8, 8, 1), 64_000, "bytes, but there are 64,000"),
        ((1, 4000, 4000, 1), 16_000_000, "2,048 pixels a side at most"),
        ((True, 8, 8, 1), 64, "no array has the shape"),
        ((1.5, 8, 8, 1), 64, "damaged"),
    ],
)
def test_shapes_that_images_cannot_have(tmp_path, shape, size, told):
    path, begin = write_bare(tmp_path / "i.npz", described(shape), size), time.monotonic()
    with pytest.raises(AdagenError, match=told):
        NpzImages.open(path)
    assert time.monotonic() - begin < 5


@pytest.mark.parametrize(
    "header",
    [
        b"(" * 9000,
        b"{'descr': " + b"[" * 9000,
        b"x" * 65_000,
        b'"' * 3,
        b"",
        described((2, 8, 8, 1), "|V999999999999"),
        described((2, 8, 8, 1), "nonsense"),
    ],
)
@pytest.mark.parametrize("version", [b"\1\0", b"\2\0", b"\3\0"])
def test_headers_that_are_none(tmp_path, header, version):
    path = write_bare(tmp_path / "i.npz", header, 1000, version)
    with pytest.raises(AdagenError, match=r"cannot be read as a NumPy archive|expected 8-bit"):
        NpzImages.open(path)


def test_an_archive_that_unpacks_to_far_more_takes_no_memory(tmp_path):
    """Statistics of the wrong shape, and a header that says it is tens of megabytes long."""
    bomb = write_bare(tmp_path / "b.npz", described((2000, 2000), "<f8"), 32 * 10**6)
    header = write_bare(tmp_path / "h.npz", b" " * 32 * 10**6, 10, b"\2\0")
    tracemalloc.start()
    for path in (bomb, header):
        with pytest.raises(AdagenError):
            read_gaussian(path, "arr_0", covariance="arr_0", dimension=6)
        with pytest.raises(AdagenError):
            NpzImages.open(path)
    assert tracemalloc.get_traced_memory()[1] < 10**6
    tracemalloc.stop()


@pytest.mark.parametrize("packing", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_an_archive_packed_as_numpy_never_does(tmp_path, packing):
    with zipfile.ZipFile(tmp_path / "i.npz", "w", packing) as archive:
        archive.writestr("arr_0.npy", b"x")
    with pytest.raises(AdagenError, match="packed in a rare way"):
        NpzImages.open(tmp_path / "i.npz")
