"""The check that a generator's networks are the same after they were saved and read."""

from collections.abc import Callable
from functools import partial

from torch import nn

from adagen.generators.base import Backbone
from adagen.generators.installed import InstalledBackbone
from adagen.generators.reloading import reload_difference
from adagen.generators.report import Check


def check_reload(backbone: Backbone | None, build: Callable[[], nn.Module] | None) -> Check:
    """The check `reload`."""
    if backbone is None:
        return Check("reload", None, "no backbone was given")
    if build is None and isinstance(backbone, InstalledBackbone):
        build = partial(
            type(backbone),
            backbone.section,
            backbone.image_shape,
            num_classes=backbone.num_classes,
        )
    if build is None:
        return Check("reload", None, "give `build`, which makes such networks untrained")
    found = reload_difference(backbone, build)
    return Check("reload", found is None, found or "the same after it was saved and read")
