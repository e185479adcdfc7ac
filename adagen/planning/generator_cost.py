"""The costs of a configuration's generators, counted on networks without weights.

The blocks of a transformer are alike, and so are its steps: from two small depths follow the FLOPs
and bytes of any depth, and from two steps those of one evaluation.
"""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from adagen.config import Config, Experiment, InstalledGenerator, MaskgitGenerator, VarGenerator
from adagen.config import Generator as Settings
from adagen.generators import build
from adagen.generators.base import Backbone, Generator
from adagen.planning.counting import count, on_meta, weight_bytes
from adagen.planning.image_counts import Images
from adagen.planning.published import PublishedBackbone, published_backbone
from adagen.runtime.noise import SampleNoise


@dataclass(frozen=True)
class GeneratorCost:
    """The cost of a generator.

    Attributes:
        evaluation: FLOPs of one evaluation of its network, for one sample.
        decoding: FLOPs of its decoder, for one image.
        weights: bytes of its networks on the device, with autocast's copy in half precision.
        stepping: bytes of tensors that live at once at most until a sample is to be decoded.
        held: bytes of a sample that are left then.
        decoder: bytes that decoding takes beside these, for all images that are decoded at once.
        made: bytes of all tensors that one evaluation makes, for one sample.
        decoding_made: the same of decoding an image.
    """

    evaluation: float
    decoding: float
    weights: float
    stepping: float
    held: float
    decoder: float
    made: float
    decoding_made: float

    def memory(self, batch: int) -> float:
        """Bytes on the device while a batch of samples is generated."""
        return self.weights + max(batch * self.stepping, batch * self.held + self.decoder)


class Generators:
    """The generators of a configuration, each counted once."""

    def __init__(self, config: Config, images: Images) -> None:
        self.config, self.images = config, images
        self._backbones: dict[str, dict[int, Backbone]] = {}
        self._costs: dict[str, GeneratorCost] = {}
        self._weights: dict[str, tuple[float, float]] = {}

    def of(self, experiment: Experiment) -> Generator[Any]:
        """The generator of an experiment, which knows its evaluations, calls and shapes.

        It may have fewer blocks than the configuration says.
        """
        *_, backbone = self._at_depths(experiment.generator).values()
        return build.build_generator(backbone, experiment)

    def cost(self, name: str) -> GeneratorCost:
        """The cost of a generator, by its name in the configuration."""
        if name not in self._costs:
            self._costs[name] = self._count(name)
        return self._costs[name]

    def weight_bytes(self, name: str) -> tuple[float, float]:
        """Bytes of a generator's network, and of all its networks together."""

        def both(backbone: Backbone) -> list[float]:
            network = getattr(backbone, "network", backbone)
            return [weight_bytes(network), weight_bytes(backbone)]

        if name not in self._weights:
            network, together = self._extrapolated(name, both)
            self._weights[name] = network, together
        return self._weights[name]

    def _count(self, name: str) -> GeneratorCost:
        settings, (network, weights) = self.config.generators[name], self.weight_bytes(name)
        every = self.config.every_experiment.values()
        experiment = next((e for e in every if e.generator == name), None)
        if experiment is None:
            return GeneratorCost(0, 0, weights, 0, 0, 0, 0, 0)
        halved = 0.0 if settings.precision == "float32" else 0.5
        numbers = partial(self._numbers, settings=settings, experiment=experiment)
        evaluation, decoding, *memory = self._extrapolated(name, numbers)
        return GeneratorCost(evaluation, decoding, weights + halved * network, *memory)

    def _extrapolated(self, name: str, numbers: Callable[[Backbone], list[float]]) -> list[float]:
        """Numbers of a generator, which grow linearly with its depth."""
        settings, found = self.config.generators[name], self._at_depths(name)
        of_each = [numbers(backbone) for backbone in found.values()]
        if isinstance(settings, InstalledGenerator) or len(found) == 1:
            return of_each[0]
        few, more = found
        share = (settings.network.depth - few) / (more - few)
        return [a + (b - a) * share for a, b in zip(*of_each, strict=True)]

    def _at_depths(self, name: str) -> dict[int, Backbone]:
        """A generator's networks at its depth, or at two others, from which its own follows."""
        if name not in self._backbones:
            settings = self.config.generators[name]
            self._backbones[name] = {
                depth: self._built(settings, depth) for depth in _depths(settings)
            }
        return self._backbones[name]

    def _numbers(
        self, backbone: Backbone, *, settings: Settings, experiment: Experiment
    ) -> list[float]:
        """All of `GeneratorCost` in its order, except the weights."""
        # As many images as are decoded at once, for the memory of the decoder.
        n = min(settings.batch, getattr(backbone, "decode_batch", 1))
        if isinstance(backbone, PublishedBackbone):
            return backbone.numbers(n)
        brief = isinstance(settings, VarGenerator) or _needs_values(settings)
        experiment = (
            experiment if brief else experiment.model_copy(update={"steps": 2, "schedule": {}})
        )
        generator = build.build_generator(backbone, experiment)
        device = generator.device
        labels = torch.zeros(n, dtype=torch.long, device=device)
        noise = SampleNoise("plan", 0, range(n), device)
        states: list[Any] = []
        with torch.no_grad():
            steps = count(lambda: states.append(_steps(generator, labels, noise)), n, backbone)
            decoding = count(lambda: generator.decode(states[0]), n, backbone)
        evaluation = steps.flops / generator.nfe
        memory = [steps.peak, steps.held, n * decoding.peak]
        return [evaluation, decoding.flops, *memory, steps.made / generator.nfe, decoding.made]

    def _built(self, settings: Settings, depth: int) -> Backbone:
        """Untrained networks on `meta`, or on the CPU where they are those of a package."""
        shape, classes = self.images.of(settings)
        with on_meta():
            if known := published_backbone(settings, shape, num_classes=classes):
                return known
        if not isinstance(settings, InstalledGenerator):
            network = settings.network.model_copy(update={"depth": depth})
            settings = settings.model_copy(update={"network": network})
        with nullcontext() if _needs_values(settings) else on_meta():
            backbone = build.build_backbone(settings, shape, num_classes=classes)
        return backbone.eval().requires_grad_(False)


def _needs_values(settings: Settings) -> bool:
    """True for a package's networks, unless they say that they run without values."""
    return isinstance(settings, InstalledGenerator) and not settings.without_values


def _steps(generator: Generator[Any], labels: torch.Tensor, noise: SampleNoise) -> Any:
    """The last state under the hand-made schedule."""
    state = generator.start(labels, noise)
    for action in generator.actions.handmade.to(labels.device):
        state = generator.step(state, action.expand(len(labels), -1))
    return state


def _depths(settings: Settings) -> tuple[int, ...]:
    """The depth of a network, or two smaller ones from which it follows in a straight line."""
    if isinstance(settings, InstalledGenerator):
        return (0,)  # whatever a package has
    depth, few, more = settings.network.depth, 1, 2
    if isinstance(settings, MaskgitGenerator):  # the blocks of a U-ViT come in pairs
        few, more = 2 + depth % 2, 4 + depth % 2
    elif isinstance(settings, VarGenerator):
        # What it holds most of is the logits of its last step at depth 1, and the cache beyond.
        few, more = 2, 3
    return (depth,) if depth <= more else (few, more)
