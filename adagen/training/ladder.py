"""Images of a ladder of schedules, to learn from and to judge (see `adagen.training.ranking`)."""

from collections.abc import Iterator, Mapping, Sequence

import torch

from adagen.data.split import Images
from adagen.evaluation.meters import Meter
from adagen.generators.base import Generator, State
from adagen.policy.networks import Policy
from adagen.runtime.progress import progress
from adagen.sampling.sampler import Sampler
from adagen.training.ranking import Rung


class Ladder:
    """The rungs of a generator: schedules, and images drawn with them.

    The images to learn from share no noise with those to judge, nor with any other stage.
    """

    def __init__(
        self,
        generator: Generator[State],
        policies: Mapping[str, Policy],
        *,
        batch: int,
        seed: int,
    ) -> None:
        """A ladder of which nothing is drawn yet.

        Args:
            generator: the frozen generator.
            policies: the schedule of each rung by its name, on the generator's device.
            batch: images at once.
            seed: seed of all images.
        """
        self.generator, self.policies, self.batch, self.seed = generator, policies, batch, seed

    def images_to_learn(self, count: int) -> Images:
        """The first `count` images to learn from of every rung, one rung after the other."""
        bar = progress(self.policies, "ladder, to learn from", total=len(self.policies))
        return self._images(
            [batch for name in bar for batch in self._draw("learn", name, samples=count)]
        )

    def images_to_judge(
        self, meter: Meter, samples: int, *, count: int, hashes: Mapping[str, str]
    ) -> tuple[Images, list[Rung]]:
        """The first `count` images to judge of every rung, and the distances of each rung.

        Args:
            meter: measures the distances.
            samples: images of a rung that the distances are of.
            count: images of a rung that are kept.
            hashes: SHA-256 of the policy files among the rungs, by name of the rung.
        """
        images: list[torch.Tensor] = []
        rungs: list[Rung] = []
        for name in progress(self.policies, "ladder, to judge", total=len(self.policies)):
            drawn = _keep_first(count, self._draw("judge", name, samples=samples), kept=images)
            primary, label_free = meter.distance(drawn)
            rungs.append(
                Rung(name=name, fid=primary, fid_label_free=label_free, policy=hashes.get(name))
            )
        return self._images(images), rungs

    def _draw(self, use: str, name: str, *, samples: int) -> Iterator[torch.Tensor]:
        """Batches of images 0 .. n-1 of a rung, to "learn" from or to "judge"."""
        sampler = Sampler(self.generator, self.policies[name], batch=self.batch)
        return sampler.image_batches(samples, purpose=f"diagnose {use}", seed=self.seed)

    def _images(self, parts: Sequence[torch.Tensor]) -> Images:
        """Images of all rungs with their labels; the parts are in the order of the rungs."""
        images, rungs = torch.cat(list(parts)), len(self.policies)
        labels = self.generator.conditions.in_turn(len(images) // rungs)
        return Images(images, labels.repeat(rungs))


def _keep_first(
    count: int, batches: Iterator[torch.Tensor], *, kept: list[torch.Tensor]
) -> Iterator[torch.Tensor]:
    """Pass on all batches, and append the first `count` images of them to `kept`."""
    left = count
    for images in batches:
        if left:
            kept.append(images[:left])
        left -= min(left, len(images))
        yield images
