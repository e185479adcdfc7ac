"""The three autoencoders, both ways."""

from collections.abc import Iterator

import torch

from . import networks
from .folder import Folder, Golden
from .report import IDENTICAL, NETWORK, Line


def _shape(golden: Golden, keys: tuple[str, ...], factor: float) -> tuple[int | None, ...]:
    """Batch and sides of what is `factor` as large as the first of the arrays that there is."""
    batch, _, *sides = next(golden[key].shape for key in keys if key in golden)
    return (batch, None, *(int(side * factor) for side in sides))


@torch.no_grad()
def kl(folder: Folder, golden: Golden) -> Iterator[Line]:
    """The KL autoencoder of DiT and SiT: decoded latents, and the encoder's moments."""
    from adagen.networks.autoencoder_kl import AutoencoderKL

    meta, size = golden.meta, golden.meta["ctor"]
    made = AutoencoderKL(
        meta["embed_dim"],
        size["ch"],
        multipliers=size["ch_mult"],
        image_channels=size["in_channels"],
        residual_blocks=size["num_res_blocks"],
    )
    network = networks.filled(made, meta["recipe"])
    reduction = 2 ** (len(size["ch_mult"]) - 1)
    if "decoded" in golden or "decoded_unit" in golden:
        shape = _shape(golden, ("decoded", "decoded_unit"), 1 / reduction)
        z = folder.draw(golden, meta["z"], shape)
        yield from golden.compare("decoded", network.unclamped(z), NETWORK)
        yield from golden.compare("decoded_unit", network.decode(z), NETWORK)
    if "moments" in golden:
        shape = _shape(golden, ("moments",), reduction)
        images = folder.draw(golden, meta["image"], shape)
        yield from golden.compare("moments", network.moments(images), NETWORK)


@torch.no_grad()
def vqgan(folder: Folder, golden: Golden) -> Iterator[Line]:
    """MaskGIT's tokeniser: decoded ids, the encoder's map and its ids."""
    from adagen.networks.vqgan import VQGAN

    meta, size = golden.meta, golden.meta["ctor"]
    made = VQGAN(
        meta["n_embed"],
        meta["embed_dim"],
        width=size["ch"],
        multipliers=size["ch_mult"],
        image_channels=size["in_channels"],
        residual_blocks=size["num_res_blocks"],
    )
    network = networks.filled(made, meta["recipe"])
    ids = golden["code"].flatten(1)
    yield from golden.compare("decoded_raw", network.unclamped(ids), NETWORK)
    yield from golden.compare("decoded_clamped", network.decode(ids), NETWORK)
    if "encoder_out" in golden or "encoded_ids" in golden:
        reduction = 2 ** (len(size["ch_mult"]) - 1)
        shape = _shape(golden, ("encoder_out",), reduction) if "encoder_out" in golden else ()
        images = folder.draw(golden, meta["image"], shape)
        yield from golden.compare("encoder_out", network.features(images), NETWORK)
        yield from golden.compare("encoded_ids", network.encode(images).flatten(), IDENTICAL)


@torch.no_grad()
def var_vqvae(folder: Folder, golden: Golden) -> Iterator[Line]:
    """VAR's tokeniser: decoded maps, the encoder's map and its ids of all scales."""
    network = networks.vqvae(folder, golden.meta)
    reduction = 2 ** (len(networks.VQVAE_MULTIPLIERS) - 1)
    if "image_out" in golden:
        shape = _shape(golden, ("image_out",), 1 / reduction)
        f_hat = folder.draw(golden, golden.meta["f_hat"], shape)
        yield from golden.compare("image_out", network.decode(f_hat), NETWORK)
    if "enc_f" in golden or "enc_ids" in golden:
        shape = _shape(golden, ("enc_f",), reduction) if "enc_f" in golden else ()
        f = network.encode(folder.draw(golden, golden.meta["image"], shape))
        yield from golden.compare("enc_f", f, NETWORK)
        ids = torch.cat(network.quantise(f).ids, 1)
        yield from golden.compare("enc_ids", ids, IDENTICAL)


CHECKS = {"ae_kl*": kl, "ae_vqgan*": vqgan, "ae_var_vqvae*": var_vqvae}
