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
        ({"mu": np.array([{}] * 6)}, "pickled"),
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
