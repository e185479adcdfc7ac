"""The data set and the frozen generators."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from adagen.config.base import Fit, Fraction, Model, Positive


class Dataset(Model):
    """The images: scikit-learn's digits (1,797 real 8x8 grey images in 10 classes), or a folder."""

    name: str = Field("digits", pattern=r"^[A-Za-z0-9_]+$")
    """Name of the data set, as it stands in tables and protocols; a folder needs one of its own."""
    folder: str = ""
    """Folder of square images of one size, <folder>/<class>/<file>. Empty for the digits."""
    heldout: Positive = 360
    """Images kept from every kind of training; the gap of distances to them shows memorisation."""
    split_seed: int = 0
    """Seed of the class-stratified split."""

    @model_validator(mode="after")
    def _named_after_its_images(self) -> Self:
        if (self.name == "digits") != (self.folder == ""):
            raise ValueError(
                f"name is {self.name!r} and folder is {self.folder!r}: 'digits' takes no folder, "
                "and any other data set needs its folder"
            )
        return self


class Transformer(Model):
    """Size of a transformer."""

    width: Positive = 64
    """Channels of a token."""
    depth: Positive = 3
    """Blocks; a U-ViT, whose skips pair its first half with its second, has 2 (depth // 2) + 1."""
    heads: Positive = 4
    """Attention heads; they divide the width."""

    @model_validator(mode="after")
    def _whole_heads(self) -> Self:
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is not a multiple of heads ({self.heads})")
        return self


class Pretrain(Fit):
    """How a generator is fitted."""

    label_dropout: Fraction = 0.1
    """Share of labels replaced by the null class, which makes guidance possible."""


class PatchTokeniser(Model):
    """k-means vocabulary of square patches (embedded data)."""

    patch: Positive = 2
    """Side of a patch in pixels."""
    vocabulary: Positive = 256
    """Number of patch prototypes."""
    seed: int = 0
    """Seed of the k-means initialisation."""


class ScaleTokeniser(Model):
    """Multi-scale residual vector quantiser with a convolutional autoencoder."""

    channels: Positive = 8
    """Channels of the quantised map."""
    width: int = Field(32, gt=0, multiple_of=32)
    """Base channels of encoder and decoder; a multiple of 32 (group normalisation)."""
    vocabulary: Positive = 64
    """Codes shared by all scales."""
    fit: Fit = Fit(updates=600)
    """How the autoencoder is fitted."""


class MaskgitGenerator(Model):
    """Masked-token generator."""

    paradigm: Literal["maskgit"]
    """Family."""
    network: Transformer = Transformer()
    """U-ViT size."""
    tokeniser: PatchTokeniser = PatchTokeniser()
    """Image to ids and back."""
    pretrain: Pretrain = Pretrain()
    """How it is fitted."""


class VarGenerator(Model):
    """Next-scale generator."""

    paradigm: Literal["var"]
    """Family."""
    network: Transformer = Transformer()
    """Transformer size."""
    scales: tuple[Positive, ...] = (1, 2, 4, 8)
    """Side of each token map; their number is the number of steps."""
    tokeniser: ScaleTokeniser = ScaleTokeniser()
    """Image to ids of every scale and back."""
    pretrain: Pretrain = Pretrain()
    """How it is fitted."""

    @model_validator(mode="after")
    def _coarse_to_fine(self) -> Self:
        if len(self.scales) < 2 or list(self.scales) != sorted(set(self.scales)):
            raise ValueError(
                f"scales is {list(self.scales)}: give at least two, each larger than the last"
            )
        return self


class DitGenerator(Model):
    """Diffusion: noise prediction under the variance-preserving schedule."""

    paradigm: Literal["dit"]
    """Family."""
    network: Transformer = Transformer()
    """DiT size."""
    patch: Positive = 2
    """Side of a patch in pixels (or latent cells)."""
    pretrain: Pretrain = Pretrain()
    """How it is fitted."""

    @model_validator(mode="after")
    def _whole_frequencies(self) -> Self:
        if self.network.width % 4:
            raise ValueError(
                f"network.width is {self.network.width}, but the positions of a DiT take a "
                "multiple of 4 (sines and cosines of rows and columns)"
            )
        return self


class SitGenerator(DitGenerator):
    """Rectified flow: velocity on straight paths, with the network of DiT."""

    paradigm: Literal["sit"]  # type: ignore[assignment]
    """Family."""


Generator = Annotated[
    MaskgitGenerator | VarGenerator | DitGenerator | SitGenerator, Field(discriminator="paradigm")
]
