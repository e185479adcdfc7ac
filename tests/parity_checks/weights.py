"""Files of weights: read as released ones are, they are what the recipe makes."""

from collections.abc import Iterator

import torch

from . import networks
from .folder import Folder
from .report import IDENTICAL, Line, compare, failure, same

QUANTISER = "var_quantizer"


def backbone(folder: Folder, name: str) -> Iterator[Line]:
    """A transformer loads into ours, strictly, and holds what its recipe says."""
    family = name.removesuffix(networks.BACKBONE)
    meta = networks.describing(folder, family)
    loaded = networks.network(folder, family).state_dict()
    made = networks.filled(networks.untrained(family, meta["ctor"]), meta["recipe"]).state_dict()
    yield _difference(name, "loaded weights", loaded, made)


def quantiser(folder: Folder, name: str) -> Iterator[Line]:
    """The part of VAR's autoencoder that a generation needs: known keys, the recipe's numbers."""
    from adagen.data.weights import read_released

    tensors = read_released(folder.path / f"{name}.pth")
    metas = (folder.meta(n) for n in folder.names if n.startswith("var_"))
    meta = next((m for m in metas if "vae" in m), None)
    if meta is None:
        yield failure(name, "weights", "OUT: no file var_*.npz tells the recipe")
        return
    made = networks.vqvae(folder, meta).state_dict()
    unknown = sorted(set(tensors) - set(made))
    yield same(name, "unknown keys", unknown, [])
    yield _difference(name, "loaded weights", tensors, {k: made[k] for k in tensors})


def _difference(
    name: str, quantity: str, a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]
) -> Line:
    """The line of the first tensor that differs; of any where none does."""
    lines = [compare(name, quantity, a[key], b[key], IDENTICAL) for key in a]
    return next((line for line in lines if not line.ok), lines[0])


CHECKS = {f"*{networks.BACKBONE}": backbone, QUANTISER: quantiser}
