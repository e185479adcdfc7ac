"""Networks and backbones of a folder: sizes from its meta, weights from its files or by recipe."""

from collections.abc import Mapping
from typing import Any, TypeVar

import torch
from torch import nn

from adagen import config
from adagen.generators.conditions import ClassConditions
from adagen.generators.diffusion import DiffusionBackbone
from adagen.generators.flow import FlowBackbone
from adagen.generators.maskgit import MaskgitBackbone, MaskgitGenerator
from adagen.generators.solver import SolverBackbone, SolverGenerator
from adagen.generators.var import VarBackbone, VarGenerator
from adagen.networks.dit import DiT
from adagen.networks.uvit import UViT
from adagen.networks.var import VAR
from adagen.networks.vqvae import MultiScaleVQVAE

from . import recipe
from .folder import Folder

BACKBONE = "_backbone"
FORWARD = "_forward"
VQVAE_SIZES = {
    "vocab_size": 4096,
    "z_channels": 32,
    "ch": 32,
    "patch_nums": (1, 2, 3, 4, 5, 6, 8, 10, 13, 16),
}
"""Sizes of VAR's autoencoder where no file tells of others."""
VQVAE_MULTIPLIERS = (1, 1, 2, 2, 4)
Meta = Mapping[str, Any]
N = TypeVar("N", bound=nn.Module)


def filled(network: N, made: Meta) -> N:
    """A network with weights by recipe, frozen; what the recipe keeps stays as it is derived."""
    kept = made.get("kept", ())
    shapes = {
        key: value.shape
        for key, value in network.state_dict().items()
        if not any(part in key for part in kept)
    }
    weights = recipe.fill_all(shapes, made["seed"], made["gains"])
    network.load_state_dict({**network.state_dict(), **weights})
    return network.eval().requires_grad_(False)


def untrained(family: str, size: Meta) -> nn.Module:
    """A backbone network as its authors' constructor arguments describe it."""
    if family in ("dit", "sit"):
        return DiT(
            size["input_size"],
            size["patch_size"],
            channels=size["in_channels"],
            classes=size["num_classes"],
            width=size["hidden_size"],
            depth=size["depth"],
            heads=size["num_heads"],
            learn_sigma=size["learn_sigma"],
        )
    if family == "maskgit":
        return UViT(
            size["img_size"] ** 2,
            size["codebook_size"],
            classes=size["num_classes"] - 1,  # theirs counts the null class
            width=size["embed_dim"],
            depth=size["depth"],
            heads=size["num_heads"],
            mlp_ratio=int(size["mlp_ratio"]),
        )
    if family == "var":
        return VAR(
            size["patch_nums"],
            size["V"],
            code_channels=size["Cvae"],
            classes=size["num_classes"],
            width=size["embed_dim"],
            depth=size["depth"],
            heads=size["num_heads"],
        )
    raise ValueError(f"no backbone is called {family!r}")


def describing(folder: Folder, family: str) -> Meta:
    """The meta that holds the constructor arguments and the recipe of a family's backbone."""
    for name in folder.names:
        if name.startswith(f"{family}{FORWARD}"):
            return folder.meta(name)
    raise ValueError(f"{family}{FORWARD}*.npz, which describes the backbone, is not in the folder")


def network(folder: Folder, family: str) -> Any:
    """The backbone network of a family: from its .pth file, or by recipe where there is none."""
    from adagen.data.weights import load_released

    meta = describing(folder, family)
    made = untrained(family, meta["ctor"])
    if f"{family}{BACKBONE}" not in folder.weights:
        return filled(made, meta["recipe"])
    load_released(made, folder.path / f"{family}{BACKBONE}.pth")
    return made.eval().requires_grad_(False)


def vqvae_sizes(folder: Folder, meta: Meta) -> dict[str, Any]:
    """Sizes of VAR's autoencoder: what the file at hand says before what any other says."""
    sizes = dict(VQVAE_SIZES)
    for name in folder.names:
        if name.startswith(("ae_var_vqvae", "var_")):
            sizes |= _vqvae_part(folder.meta(name))
    return sizes | _vqvae_part(meta)


def _vqvae_part(meta: Meta) -> dict[str, Any]:
    """What one file tells: the autoencoder's own arguments, or the transformer's that fit it."""
    told = dict(meta.get("vae", {}).get("ctor", {})) or dict(meta.get("ctor", {}))
    renamed = {"V": "vocab_size", "Cvae": "z_channels"}
    told = {renamed.get(key, key): value for key, value in told.items()}
    return {key: told[key] for key in VQVAE_SIZES if key in told}


def vqvae(folder: Folder, meta: Meta, kind: type[MultiScaleVQVAE] = MultiScaleVQVAE) -> Any:
    """VAR's autoencoder with weights by the recipe in a file's meta."""
    sizes = vqvae_sizes(folder, meta)
    made = kind(
        sizes["patch_nums"],
        sizes["vocab_size"],
        code_channels=sizes["z_channels"],
        width=sizes["ch"],
        channel_multipliers=VQVAE_MULTIPLIERS,
    )
    return filled(made, meta["vae"]["recipe"] if "vae" in meta else meta["recipe"])


class Unasked(nn.Module):
    """In place of a U-ViT whose logits are given: it has its sizes alone."""

    width = 1

    def __init__(self, positions: int, mask: int) -> None:
        super().__init__()
        self.positions, self.vocabulary = positions, mask
        self.nothing = nn.Parameter(torch.zeros(()))  # says on which device it is


class Undecoded(nn.Module):
    """In place of a tokeniser, where nobody looks at images."""

    vectors = torch.zeros(1, 1)

    def decode(self, ids: torch.Tensor) -> torch.Tensor:
        return ids


def maskgit_generator(
    made: nn.Module, classes: int, steps: int, handmade: config.Handmade, smoothing: float
) -> MaskgitGenerator:
    """A MaskGIT generator without a decoder."""
    backbone = MaskgitBackbone(made, Undecoded(), conditions=ClassConditions(classes), dropout=0.0)
    return MaskgitGenerator(backbone, steps, handmade=handmade, smoothing=smoothing)


def solver_generator(
    family: str, made: DiT, size: Meta, steps: int, handmade: config.Handmade, smoothing: float
) -> SolverGenerator:
    """A DiT or SiT generator without an autoencoder."""
    kinds: dict[str, type[SolverBackbone]] = {"dit": DiffusionBackbone, "sit": FlowBackbone}
    shape = (size["in_channels"], size["input_size"], size["input_size"])
    backbone = kinds[family](
        made, shape, conditions=ClassConditions(size["num_classes"]), dropout=0.0
    )
    return SolverGenerator(backbone, steps, handmade=handmade, smoothing=smoothing)


def var_generator(
    made: VAR,
    tokeniser: MultiScaleVQVAE,
    classes: int,
    handmade: config.Handmade,
    smoothing: float,
) -> VarGenerator:
    """A VAR generator."""
    return VarGenerator(
        VarBackbone(made, tokeniser, conditions=ClassConditions(classes), dropout=0.0),
        handmade,
        smoothing=smoothing,
    )
