"""scikit-learn's digits: 1,797 real 8x8 images in 10 classes that ship with the library."""

import torch


def read_digits() -> tuple[torch.Tensor, torch.Tensor]:
    """Read the digits: images (1797, 1, 8, 8) float32 in [0, 1] and classes (1797,) int64."""
    from sklearn.datasets import (
        load_digits,
    )  # takes a second, which other data sets should not cost

    bunch = load_digits()
    images = torch.from_numpy(bunch.images / 16).float().unsqueeze(1)
    return images, torch.from_numpy(bunch.target).long()
