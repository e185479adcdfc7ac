"""Alignment: the share of images that show what their caption says."""

from adagen.config.base import Fit, Model
from adagen.config.values import InputPath, Positive


class Alignment(Model):
    """A network that tells what is on an image of OpenMoji, and prompts that it judges.

    It is fitted to real scenes for that alone. Samples of the prompts are drawn beside those that
    are reported on.
    """

    prompts: InputPath
    """Text file with a caption of OpenMoji's scenes on each line."""
    images: Positive = 10
    """Samples of each prompt, for each sampling seed."""
    fit: Fit = Fit(updates=2500, batch=64, learning_rate=3e-3)
    """Settings for fitting the network."""
