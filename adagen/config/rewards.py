"""Rewards: what a policy is paid by, a section with a kind (docs/method.md, section 6)."""

from typing import Annotated, Literal

from pydantic import Field, Tag

from adagen.config.base import Fit, Model, Positive, by_kind
from adagen.config.overlay import DEFAULT_KINDS


class GaussianSettings(Model):
    """Two Gaussians in closed form, of real and of generated images, on a masked autoencoder.

    It pays the logarithm of the ratio of their densities, bounded smoothly.
    """

    kind: Literal["gaussian"] = "gaussian"
    """Which reward it is."""
    components: Positive = 64
    """Principal components of the feature maps."""
    feature_noise: float = Field(0.5, gt=0)
    """Gaussian noise on the components, in standard deviations of real images; it is added to both
    covariances, nothing is drawn."""
    pixel_noise: float = Field(0.05, ge=0)
    """Standard deviation of gaussian noise on all images, real and generated, before the frozen
    network sees them; pixels are in [0, 1]."""
    memory: float = Field(0.95, ge=0, lt=1)
    """Weight that the moments of earlier generated images keep in an update. Less of it makes
    images stand out from the Gaussian that they are themselves part of less: that favours fidelity
    over diversity."""
    bound: float = Field(10.0, gt=0)
    """Limit of the payment: bound tanh(logit / bound). A few images far off would else drown what
    is to be learnt from all others."""


class DiscriminatorSettings(Model):
    """A network that learns to tell real from generated images."""

    kind: str
    """Which reward it is."""
    channels: Positive = 32
    """Channels of a layer. Heads on DINO have as many as its features instead."""
    learning_rate: float = Field(7e-4, gt=0)
    """Adam learning rate; betas (0.5, 0.999)."""
    batch: Positive = 256
    """Real and fake images per step."""
    steps: Positive = 4
    """Steps per policy update."""
    warmup: int = Field(80, ge=0)
    """Steps before the first policy update."""
    payment: Literal["sigmoid", "logit"] = "sigmoid"
    """What is paid: the sigmoid of the mean logit (the paper's), or that logit itself."""


class TokenSettings(DiscriminatorSettings):
    """The paper's heads over the tokens of each feature map, on DINO or a masked autoencoder."""

    kind: Literal["tokens"]
    """Which reward it is."""


class ConvolutionSettings(DiscriminatorSettings):
    """A small convolutional network on pixels that learns from scratch."""

    kind: Literal["convolution"]
    """Which reward it is."""
    pixel_noise: float = Field(0.1, ge=0)
    """Standard deviation of gaussian noise on all images, real and generated."""
    r1: float = Field(0.0, ge=0)
    """Weight of half the squared gradient at real images (R1)."""


class FrechetSettings(Model):
    """The Fréchet distance itself, in principal components on a masked autoencoder."""

    kind: Literal["frechet"]
    """Which reward it is."""
    components: Positive = 64
    """Principal components of the feature maps."""


class ClassifierSettings(Model):
    """The reward that gets hacked: what `preference` says, a classifier's confidence by default."""

    kind: Literal["classifier"]
    """Which reward it is."""


AnyReward = Annotated[
    Annotated[GaussianSettings, Tag("gaussian")]
    | Annotated[TokenSettings, Tag("tokens")]
    | Annotated[ConvolutionSettings, Tag("convolution")]
    | Annotated[FrechetSettings, Tag("frechet")]
    | Annotated[ClassifierSettings, Tag("classifier")],
    by_kind(DEFAULT_KINDS["reward"]),
]


class Preference(Model):
    """A classifier fitted to the train split: log-probability of the label. None that measures."""

    kind: Literal["classifier"] = "classifier"
    """Which network it is."""
    width: int = Field(16, gt=0, multiple_of=8)
    """Channels of its first layer, a multiple of 8 (group normalisation)."""
    fit: Fit = Fit(updates=400, seed=3)
    """How it is fitted."""


class ClipPreference(Model):
    """Released CLIP, through open_clip: cosine of an image and the prompt of its class."""

    kind: Literal["clip"]
    """Which network it is."""
    model: str = "ViT-B-32"
    """What open_clip calls it."""
    weights: str = "clip_vit_b_32"
    """Asset that holds it: image and text tower."""
    prompt: str = Field("a photo of a {}.", pattern=r"^[^{}]*\{\}[^{}]*$")
    """What is said of a class; {} stands for its name."""
    names: str = ""
    """Text file with the name of a class on each line, in the order of the labels. Empty: the names
    are those of the data set, its folders'."""


AnyPreference = Annotated[
    Annotated[Preference, Tag("classifier")] | Annotated[ClipPreference, Tag("clip")],
    by_kind(DEFAULT_KINDS["preference"]),
]


class Dial(Model):
    """The second policy of the fidelity-diversity dial, `faithful` (docs/dial.md)."""

    weight: float = Field(1.0, gt=0)
    """What one standard deviation of the preference is worth, in those of the experiment's own
    reward, both over the images of an update. More of it: more fidelity, less diversity."""
