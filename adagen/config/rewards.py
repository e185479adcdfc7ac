"""Rewards of policies: a section with a kind (docs/method.md, section 6)."""

from typing import Annotated, Literal

from pydantic import Field, Tag

from adagen.config.base import Fit, Model, by_kind
from adagen.config.clip import Clip
from adagen.config.overlay import DEFAULT_KINDS
from adagen.config.values import Coefficient, Deviation, Positive, Rate, Weight, Width


class GaussianSettings(Model):
    """Log-ratio of two Gaussian densities, of real and of generated images, smoothly bounded.

    The Gaussians have a closed form, over features of a masked autoencoder.
    """

    kind: Literal["gaussian"] = "gaussian"
    """Kind of reward."""
    components: Width = 64
    """Number of principal components of the feature maps."""
    feature_noise: Deviation = 0.5
    """Gaussian noise on the components, in standard deviations of real images. It is added to both
    covariances; nothing is drawn."""
    pixel_noise: Coefficient = 0.05
    """Standard deviation of Gaussian noise on all images, real and generated, before the frozen
    network sees them. Pixels are in [0, 1]."""
    memory: float = Field(0.95, ge=0, lt=1)
    """Weight that the moments of earlier generated images keep in an update. With a lower weight,
    images differ less from the Gaussian that they are part of, which favours fidelity over
    diversity."""
    bound: Deviation = 10.0
    """Limit of the reward, bound tanh(logit / bound). Without it, a few images far off would
    outweigh all others."""


class DiscriminatorSettings(Model):
    """A network that learns to tell real from generated images."""

    kind: str
    """Kind of reward."""
    channels: Width = 32
    """Channels of a layer. Heads on DINO have as many as DINO's features instead."""
    learning_rate: Rate = 7e-4
    """Learning rate of Adam, with betas (0.5, 0.999)."""
    batch: Positive = 256
    """Real images in a step, and as many generated ones."""
    steps: Positive = 4
    """Steps in a policy update."""
    warmup: int = Field(80, ge=0, le=10_000_000)
    """Steps before the first policy update."""
    payment: Literal["sigmoid", "logit"] = "sigmoid"
    """The reward: the sigmoid of the mean logit (as in the paper), or that logit itself."""


class TokenSettings(DiscriminatorSettings):
    """The paper's discriminator: heads on every feature map of DINO or of a masked autoencoder."""

    kind: Literal["tokens"]
    """Kind of reward."""


class ConvolutionSettings(DiscriminatorSettings):
    """A small convolutional discriminator on pixels, trained from scratch."""

    kind: Literal["convolution"]
    """Kind of reward."""
    pixel_noise: Coefficient = 0.1
    """Standard deviation of Gaussian noise on all images, real and generated."""
    r1: Coefficient = 0.0
    """Weight of the R1 penalty: half the squared gradient at real images."""


class FrechetSettings(Model):
    """The Fréchet distance itself, over principal components of a masked autoencoder."""

    kind: Literal["frechet"]
    """Kind of reward."""
    components: Width = 64
    """Number of principal components of the feature maps."""


class ClassifierSettings(Model):
    """The answer of `preference`, by default a classifier's confidence: a reward that is hacked."""

    kind: Literal["classifier"]
    """Kind of reward."""


AnyReward = Annotated[
    Annotated[GaussianSettings, Tag("gaussian")]
    | Annotated[TokenSettings, Tag("tokens")]
    | Annotated[ConvolutionSettings, Tag("convolution")]
    | Annotated[FrechetSettings, Tag("frechet")]
    | Annotated[ClassifierSettings, Tag("classifier")],
    by_kind(DEFAULT_KINDS["reward"]),
]


class Preference(Model):
    """Log-probability of the label under a classifier that is fitted to the training images.

    It is another one than the classifier that measures.
    """

    kind: Literal["classifier"] = "classifier"
    """Kind of network."""
    width: int = Field(16, gt=0, le=4096, multiple_of=8)
    """Channels of its first layer, a multiple of 8 (group normalisation)."""
    fit: Fit = Fit(updates=400, seed=3)
    """Settings for fitting the classifier."""


class ClipPreference(Clip):
    """Cosine between an image and its text, by released CLIP through open_clip."""

    section = "preference"
    kind: Literal["clip"]
    """Kind of network."""


class AestheticPreference(Model):
    """Aesthetic score: a head on released CLIP says how much people like an image.

    The label plays no part.
    """

    kind: Literal["aesthetic"]
    """Kind of network."""
    model: str = "ViT-L-14-quickgelu"
    """Name of the model in open_clip, or path of a JSON file that describes one as open_clip's own
    files do."""
    weights: str = "clip_vit_l_14_openai"
    """Asset that holds the model."""
    head: str = "aesthetic_head"
    """Asset that holds the head: linear layers, which end in one number."""
    activation: Literal["none", "relu"] = "none"
    """Function between the layers of the head; the released one has none."""


AnyPreference = Annotated[
    Annotated[Preference, Tag("classifier")]
    | Annotated[ClipPreference, Tag("clip")]
    | Annotated[AestheticPreference, Tag("aesthetic")],
    by_kind(DEFAULT_KINDS["preference"]),
]


class Dial(Model):
    """The second policy of the fidelity-diversity dial, `faithful` (docs/dial.md)."""

    weight: Weight = 1.0
    """Weight of the preference: one standard deviation of it counts as many standard deviations
    of the experiment's reward, both over the images of an update. A higher weight gives
    more fidelity and less diversity."""
