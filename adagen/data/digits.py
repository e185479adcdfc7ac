"""scikit-learn's digits: 1,797 real 8x8 images in 10 classes that ship with the library."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch


def read_digits() -> tuple[torch.Tensor, torch.Tensor]:
    """Read the digits: images (1797, 1, 8, 8) float32 in [0, 1] and classes (1797,) int64."""
    # What `sklearn.datasets.load_digits` reads; importing it takes a second and a half.
    library = find_spec("sklearn")
    assert library is not None and library.origin is not None
    rows = np.loadtxt(Path(library.origin).parent / "datasets/data/digits.csv.gz", delimiter=",")
    images = torch.from_numpy(rows[:, :-1] / 16).float().view(-1, 1, 8, 8)
    return images, torch.from_numpy(rows[:, -1]).long()
