"""Diagnosing: does the reward rank known schedules as the metric does?"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from adagen.cli.common import device_of, open_experiment, require_its_classes
from adagen.config import Config, Experiment
from adagen.data.split import Images, Split, load_dataset
from adagen.evaluation.meters import Meter
from adagen.evaluation.protocols import load_meter
from adagen.generators.base import Generator, State
from adagen.paper.figures.reward import reward_figure
from adagen.paper.figures.style import require_drawable, save_figure
from adagen.policy.files import load_policy, policy_identity
from adagen.policy.networks import Policy
from adagen.rewards.base import Reward
from adagen.rewards.build import load_reward
from adagen.rewards.pools import VIEWS
from adagen.runtime.errors import AdagenError
from adagen.runtime.files import file_hash, write_json
from adagen.runtime.noise import seeded
from adagen.runtime.progress import progress
from adagen.sampling.draws import batches, class_labels
from adagen.training.ranking import Pools, Rung, agreement, ladder, looks, observe
from adagen.training.verdict import findings, report_text

KEPT = 2**32
"""Bytes of the images of all rungs that are kept to learn from, and as many to judge: 1,000 of
each of nine rungs take 2 GB at 3 x 128 x 128 pixels. The distances are of all that are drawn."""


class Ladder:
    """The rungs of a generator: schedules, and images drawn with them.

    The two sets of images share no noise with one another, nor with any other stage.
    """

    def __init__(
        self,
        generator: Generator[State],
        policies: Mapping[str, Policy],
        *,
        batch: int,
        seed: int,
    ) -> None:
        self.generator, self.policies, self.batch, self.seed = generator, policies, batch, seed

    def draw(self, use: str, name: str, *, samples: int) -> Iterator[torch.Tensor]:
        """Images 0 .. n-1 of a rung, to "learn" from or to "judge"."""
        policy = self.policies[name]
        purpose = f"diagnose {use}"
        return batches(self.generator, policy, purpose, self.seed, samples, self.batch)

    def learnt(self, kept: int) -> Images:
        """The first `kept` images of every rung to learn from, one rung after the other."""
        bar = progress(self.policies, "ladder, to learn from", total=len(self.policies))
        return self._images(
            [batch for name in bar for batch in self.draw("learn", name, samples=kept)]
        )

    def judged(
        self, meter: Meter, samples: int, *, kept: int, hashes: Mapping[str, str]
    ) -> tuple[Images, list[Rung]]:
        """The same of the images to judge, and the distances of the first `samples` of them."""
        images: list[torch.Tensor] = []
        rungs: list[Rung] = []
        for name in progress(self.policies, "ladder, to judge", total=len(self.policies)):
            drawn = _keeping(self.draw("judge", name, samples=samples), images, count=kept)
            rungs.append(Rung(name, *meter.distance(drawn), hashes.get(name)))
        return self._images(images), rungs

    def _images(self, parts: Sequence[torch.Tensor]) -> Images:
        images, rungs = torch.cat(list(parts)), len(self.policies)
        labels = class_labels(len(images) // rungs, self.generator.num_classes)
        return Images(images, labels.repeat(rungs))


def diagnose_reward(
    config: Config,
    experiment: str,
    *,
    generator_file: Path,
    features: Path,
    preference: Path | None,
    networks: Path,
    reference_file: Path,
    policy_files: Sequence[Path],
    samples: int | None,
    steps: int,
    shift: float,
    seed: int,
    out: Path,
    figure: Path | None,
) -> None:
    """Compare mean reward with distance on a ladder of schedules; print and write all numbers.

    Args:
        config: the configuration.
        experiment: its name.
        generator_file: the frozen generator.
        features: the frozen features of the reward.
        preference: the classifier of the reward `classifier`.
        networks: of the metric.
        reference_file: statistics of the real images.
        policy_files: policies that are rungs too.
        samples: images of a rung, at each of the two uses; None for those of a validation.
        steps: of the reward, where it learns by steps.
        shift: of an action, in logits.
        seed: of images, initial weights and batches.
        out: JSON file to write.
        figure: PDF or PNG file to write.

    Raises:
        AdagenError: files don't belong together, a number is out of range, or something is not
            finite.
    """
    if figure:
        require_drawable(figure)
    settings, generator = open_experiment(config, experiment, generator_file=generator_file)
    device, training = device_of(config), settings.training
    samples = training.validate_samples if samples is None else samples
    meter = load_meter(
        config.evaluation,
        config.dataset,
        networks=networks,
        reference=reference_file,
        device=device,
    )
    split = load_dataset(config.dataset)
    require_its_classes(generator, split)
    with seeded("diagnose", experiment, seed):
        reward = load_reward(
            config,
            training.reward,
            features=features,
            preference=preference,
            split=split,
            device=device,
        )
    rungs = ladder(generator.actions, shift, device=device)
    expected = policy_identity(experiment, settings, generator_hash=file_hash(generator_file))
    rungs |= _policies(policy_files, generator, expected=expected, taken=set(rungs))
    kept = _kept(config, reward, split=split, samples=samples, rungs=len(rungs))

    batch = config.generators[settings.generator].batch
    drawn = Ladder(generator, rungs, batch=batch, seed=seed)
    hashes = {path.stem: file_hash(path) for path in policy_files}
    fresh, measured = drawn.judged(meter, samples, kept=kept, hashes=hashes)
    _require_its_shape(fresh, split)
    fake = drawn.learnt(kept)
    pools = Pools(
        reward.pool(split.train, "diagnose", "real", seed, views=VIEWS),
        reward.pool(split.heldout, "diagnose", "heldout", seed),
        reward.pool(fake, "diagnose", "fake", seed, views=VIEWS),
        reward.pool(fresh, "diagnose", "fresh", seed),
    )
    seen = observe(
        reward,
        pools,
        rungs=measured,
        when=looks(steps, reward, updates=training.updates),
        seed=seed,
    )
    verdict = findings(measured, seen, warmup=reward.warmup, saturates=reward.saturates)

    files = {"generator": generator_file, "features": features, "preference": preference}
    write_json(
        out,
        {
            "experiment": experiment,
            **_origin(config, settings, meter=meter, files=files),
            "samples": samples,
            "kept": kept,
            "shift": shift,
            "seed": seed,
            "rungs": [asdict(rung) for rung in measured],
            "spaces": asdict(agreement(measured)),
            "looks": [{**asdict(look), "gap": look.gap} for look in seen],
            "verdict": [asdict(finding) for finding in verdict],
        },
    )
    print(report_text(measured, seen, verdict=verdict))
    if figure:
        save_figure(reward_figure([out]), figure)


def _keeping(
    drawn: Iterator[torch.Tensor], kept: list[torch.Tensor], *, count: int
) -> Iterator[torch.Tensor]:
    """Pass on all batches; the first `count` images of them are kept."""
    left = count
    for images in drawn:
        if left:
            kept.append(images[:left])
        left -= min(left, len(images))
        yield images


def _policies(
    paths: Sequence[Path],
    generator: Generator[State],
    *,
    expected: dict[str, Any],
    taken: set[str],
) -> dict[str, Policy]:
    """Policy files as rungs, named after them."""
    found: dict[str, Policy] = {}
    for path in paths:
        if path.stem in taken | set(found):
            raise AdagenError(
                f"--policy {path}: there is a rung {path.stem!r} already. Give a copy of the file "
                "another name."
            )
        policy, _ = load_policy(path, generator, expected=expected)
        found[path.stem] = policy.to(generator.device)
    return found


def _kept(config: Config, reward: Reward, *, split: Split, samples: int, rungs: int) -> int:
    """Images of a rung that are learnt from, and as many that are judged."""
    dimension = config.evaluation.dimension
    if samples <= dimension:
        raise AdagenError(
            f"--samples is {samples}, but a Frechet distance over the {dimension} features of "
            f"protocol {config.evaluation.protocol!r} takes at least {dimension + 1} images."
        )
    one = 4 * math.prod(split.train.images.shape[1:])
    fitting = min(samples, KEPT // (rungs * one))
    return max(1, fitting // reward.norm_group) * reward.norm_group


def _require_its_shape(generated: Images, split: Split) -> None:
    """A discriminator tells other sizes apart by that alone."""
    found, expected = (tuple(part.images.shape[1:]) for part in (generated, split.train))
    if found != expected:
        raise AdagenError(
            f"the generator makes images of shape {found} (channels, height, width), but those of "
            f"the data set have {expected}. Give `dataset.size` the side of the generator's."
        )


def _origin(
    config: Config, settings: Experiment, *, meter: Meter, files: Mapping[str, Path | None]
) -> dict[str, Any]:
    """What the numbers depend on."""
    hashes = {name: file_hash(path) for name, path in files.items() if path}
    return {
        "dataset": config.dataset.name,
        "steps": settings.steps,
        "protocol": meter.protocol,
        "reward_features": config.reward_features.model_dump(mode="json"),
        "reward": settings.training.reward.model_dump(mode="json"),
        "hashes": {**hashes, **meter.hashes},
    }
