"""The frozen generators."""

from collections.abc import Collection, Mapping
from typing import Annotated, Any, ClassVar, Literal, Self, get_args

from pydantic import (
    ConfigDict,
    Discriminator,
    Field,
    ModelWrapValidatorHandler,
    SerializeAsAny,
    Tag,
    model_validator,
)

from adagen.config import paradigms
from adagen.config.base import Fit, Model, Paradigm, Precision, by_kind
from adagen.config.handmade import Handmade
from adagen.config.overlay import DEFAULT_KINDS
from adagen.config.text import AnyText
from adagen.config.values import (
    Depth,
    Fraction,
    Positive,
    Seed,
    Side,
    Vocabulary,
    Width,
)

LARGEST = 10**10
"""Most weights of a transformer, 40 GB. VAR-d30 has two thousand million."""


class Transformer(Model):
    """Size of a transformer."""

    width: Width = 64
    """Width of a token."""
    depth: Depth = 3
    """Number of blocks. A U-ViT, whose skip connections join its two halves, has
    2 (depth // 2) + 1."""
    heads: Width = 4
    """Number of attention heads, a divisor of the width."""

    @model_validator(mode="after")
    def _whole_heads(self) -> Self:
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is not a multiple of heads ({self.heads})")
        if 12 * self.width**2 * self.depth > LARGEST:
            raise ValueError(
                f"width {self.width} and depth {self.depth} make more than {LARGEST:,} weights: "
                "lower one of them"
            )
        return self


class Pretrain(Fit):
    """Settings for fitting a generator."""

    label_dropout: Fraction = 0.1
    """Share of the labels that are replaced by the null class, which makes guidance possible."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Precision of the network's matrix products while it is fitted (autocast). Weights, losses and
    the tokeniser stay in float32."""


class Weights(Model):
    """Released weights, which are used instead of pretraining."""

    network: str
    """Asset that holds the transformer."""
    decoder: str
    """Asset that holds the tokeniser or the latent autoencoder."""
    classes: Positive = 1000
    """Number of classes; the label after the last one is the null class."""
    image: Side = 256
    """Side of an image in pixels."""


Multipliers = Annotated[
    tuple[Annotated[int, Field(gt=0, le=64)], ...], Field(min_length=1, max_length=10)
]


class PatchTokeniser(Model):
    """Vocabulary of square patches that k-means finds, for small images."""

    kind: Literal["patches"] = "patches"
    """Kind of tokeniser."""
    patch: Side = 2
    """Side of a patch in pixels."""
    vocabulary: Vocabulary = 256
    """Number of patch prototypes."""
    seed: Seed = 0
    """Seed of the k-means initialisation."""


class VqganTokeniser(Model):
    """Convolutional autoencoder with one map of codes; it needs released weights."""

    kind: Literal["vqgan"]
    """Kind of tokeniser."""
    width: int = Field(128, gt=0, le=4096, multiple_of=32)
    """Base number of channels of encoder and decoder, a multiple of 32 (group normalisation)."""
    multipliers: Multipliers = (1, 1, 2, 2, 4)
    """Channels at each resolution as multiples of the base, finest first. Each resolution has half
    the side of the one before."""
    channels: Width = 256
    """Channels of a code."""
    vocabulary: Vocabulary = 1024
    """Number of codes."""


Tokeniser = Annotated[
    Annotated[PatchTokeniser, Tag("patches")] | Annotated[VqganTokeniser, Tag("vqgan")],
    by_kind(DEFAULT_KINDS["tokeniser"]),
]


class LatentAutoencoder(Model):
    """KL-regularised autoencoder whose latents a solver works on; it needs released weights."""

    width: int = Field(128, gt=0, le=4096, multiple_of=32)
    """Base number of channels of encoder and decoder, a multiple of 32 (group normalisation)."""
    multipliers: Multipliers = (1, 2, 4, 4)
    """Channels at each resolution as multiples of the base, finest first. Each resolution has half
    the side of the one before."""
    channels: Width = 4
    """Channels of a latent."""


class ScaleTokeniser(Model):
    """Multi-scale residual vector quantiser with a convolutional autoencoder."""

    channels: Width = 8
    """Channels of the quantised map."""
    width: int = Field(32, gt=0, le=4096, multiple_of=32)
    """Base number of channels of encoder and decoder, a multiple of 32 (group normalisation)."""
    multipliers: Multipliers = (1,)
    """Channels at each resolution as multiples of the base, finest first. Each resolution has half
    the side of the one before."""
    vocabulary: Vocabulary = 64
    """Number of codes, which all scales share."""
    fit: Fit = Fit(updates=600)
    """Settings for fitting the autoencoder."""


class GeneratorSettings(Model):
    """Keys of generators of every paradigm."""

    title: str = Field("", max_length=100, pattern=r"^[^\x00-\x1f\x7f]*$")
    """Name of the generator in tables and figures; empty for the name of its family."""
    precision: Precision = "float32"
    """Precision of the network's matrix products (autocast). Decoders, policies and metrics always
    compute in float32."""
    batch: Positive = 250
    """Images that are generated at once, except in training. It changes memory, never results."""

    stochastic: ClassVar[bool] = False
    """True if a step draws its next state, so that looking ahead has something to choose from."""
    not_in_weights: ClassVar[Collection[str]] = ()
    """Keys of a package that change images but not the weights: the order of a solver, say."""
    handmade: ClassVar[type[Handmade]] = Handmade
    """Model of `experiments.*.handmade` of its experiments."""

    @property
    def made_by(self) -> dict[str, dict[str, str]]:
        """Package that a generator depends on beside its settings; empty for built-in ones."""
        return {}


class FrozenGenerator(GeneratorSettings):
    """Keys of all built-in families."""

    network: Transformer = Transformer()
    """Size of the transformer."""
    pretrain: Pretrain = Pretrain()
    """Settings for fitting the generator, if it has no released weights."""
    weights: Weights | None = None
    """Released weights. Without them the generator is fitted to the data set."""
    text: AnyText | None = None
    """The text encoder of a generator of captions; none for one of classes."""
    decode_batch: Positive = 64
    """Images that are decoded at once. It changes memory, never results."""
    compile: Literal["nothing", "blocks"] = "nothing"
    """`blocks` compiles those of the transformer where images are generated (`torch.compile`). That
    takes a minute in every process and needs a C++ compiler; then steps take less time, on a GPU
    above all. It changes images by rounding, and nothing else."""


class MaskgitGenerator(FrozenGenerator):
    """MaskGIT: a generator that predicts masked tokens."""

    stochastic = True

    paradigm: Literal["maskgit"]
    """Family."""
    tokeniser: Tokeniser = Field(default_factory=PatchTokeniser)
    """Turns an image into ids and back."""

    @model_validator(mode="after")
    def _released_together(self) -> Self:
        if (self.weights is not None) != isinstance(self.tokeniser, VqganTokeniser):
            raise ValueError(
                f"tokeniser.kind is {self.tokeniser.kind!r}: a generator with weights takes "
                "'vqgan', and one without is fitted on 'patches'"
            )
        return self


class VarGenerator(FrozenGenerator):
    """VAR: a generator that predicts the next scale."""

    stochastic = True

    paradigm: Literal["var"]
    """Family."""
    scales: Annotated[tuple[Side, ...], Field(max_length=1000)] = (1, 2, 4, 8)
    """Side of each map of tokens. Their number is the number of steps."""
    tokeniser: ScaleTokeniser = ScaleTokeniser()
    """Turns an image into ids at every scale and back."""

    @model_validator(mode="after")
    def _of_classes(self) -> Self:
        if self.text is not None:
            raise ValueError("text is given, but a VAR is of classes: take maskgit, dit or sit")
        return self

    @model_validator(mode="after")
    def _coarse_to_fine(self) -> Self:
        if len(self.scales) < 2 or list(self.scales) != sorted(set(self.scales)):
            raise ValueError(
                f"scales is {list(self.scales)}: give at least two, each larger than the last"
            )
        return self


class SolverSettings(FrozenGenerator):
    """Keys that DiT and SiT share."""

    patch: Side = 2
    """Side of a patch in pixels (or latent cells)."""
    latent: LatentAutoencoder | None = None
    """The autoencoder of released weights. Without them the solver works on pixels."""

    @model_validator(mode="after")
    def _released_together(self) -> Self:
        if (self.weights is not None) != (self.latent is not None):
            raise ValueError("latent and weights go together: give both, or neither")
        return self

    @model_validator(mode="after")
    def _whole_frequencies(self) -> Self:
        if self.network.width % 4:
            raise ValueError(
                f"network.width is {self.network.width}, but the positions of a DiT take a "
                "multiple of 4 (sines and cosines of rows and columns)"
            )
        return self


class DitGenerator(SolverSettings):
    """DiT: diffusion that predicts noise, under the variance-preserving schedule."""

    paradigm: Literal["dit"]
    """Family."""


class SitGenerator(SolverSettings):
    """SiT: rectified flow, which predicts the velocity on straight paths."""

    paradigm: Literal["sit"]
    """Family."""


class InstalledGenerator(GeneratorSettings):
    """Generator that a package brings, with the keys that it adds (docs/generators.md).

    A package derives its settings from this model. It may set the class attributes `stochastic`,
    `not_in_weights`, `handmade` and `without_values` too.
    """

    without_values: ClassVar[bool] = False
    """True if its networks run on tensors without values too, at any even number of steps, so that
    their costs can be counted in no time."""

    # The JSON schema can't know what will be installed where it is read. In Python a package's
    # settings are a subclass of this model, and keys that it doesn't know are errors as ever.
    model_config = ConfigDict(json_schema_extra={"additionalProperties": True})

    paradigm: str = Field(json_schema_extra={"not": {"enum": list(get_args(Paradigm))}})
    """Name under which the package registers the generator; none of the built-in ones."""

    @property
    def weights(self) -> None:
        """No released weights of the catalogue: a package brings its own."""

    @property
    def made_by(self) -> dict[str, dict[str, str]]:
        """Name and version of the package."""
        return {"package": paradigms.package(self.paradigm)}

    @model_validator(mode="wrap")
    @classmethod
    def _as_registered(cls, data: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        """Validate a section by the settings of the package that brings its paradigm."""
        if cls is not InstalledGenerator or not isinstance(data, Mapping):
            return handler(data)
        settings = paradigms.settings_of(data["paradigm"])
        if settings is InstalledGenerator:  # a package without keys of its own
            return handler(data)
        validated: Self = settings.model_validate(data)
        return validated


def _paradigm(data: Any) -> str | None:
    """Return the tag of a section's model, by its paradigm."""
    if not isinstance(data, Mapping | Model):
        return "installed"  # its validation says that this is no section
    paradigm = data.get("paradigm") if isinstance(data, Mapping) else getattr(data, "paradigm", "")
    return paradigm if paradigm is None or paradigms.is_built_in(paradigm) else "installed"


BuiltInGenerator = MaskgitGenerator | VarGenerator | DitGenerator | SitGenerator
Generator = Annotated[
    Annotated[MaskgitGenerator, Tag("maskgit")]
    | Annotated[VarGenerator, Tag("var")]
    | Annotated[DitGenerator, Tag("dit")]
    | Annotated[SitGenerator, Tag("sit")]
    | Annotated[SerializeAsAny[InstalledGenerator], Tag("installed")],
    Discriminator(_paradigm),
]
