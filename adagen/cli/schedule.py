"""Showing what a policy does."""

from pathlib import Path
from typing import Any

import torch

from adagen.cli.common import open_experiment
from adagen.cli.sample import open_policy
from adagen.config import Config
from adagen.generators.base import Generator
from adagen.paper.schedule import schedule_table, schedule_text, with_effect, write_schedule
from adagen.policy.networks import Policy
from adagen.runtime.progress import progress
from adagen.sampling.draws import class_labels
from adagen.sampling.draws import sample as draw


def schedule(
    config: Config,
    experiment: str,
    *,
    method: str,
    generator_file: Path,
    policy_file: Path | None,
    samples: int,
    seed: int,
    out: Path | None,
    figure: Path | None,
) -> None:
    """Write a policy's schedule as a table, or print it; draw it too, if asked.

    Args:
        config: the configuration.
        experiment: its name.
        method: what the policy was made as.
        generator_file: the frozen generator.
        policy_file: the policy; None for the hand-made schedule.
        samples: how many samples it is of, going round the classes.
        seed: sampling seed; the noise is that of the samples that are reported on.
        out: CSV file to write; None to print.
        figure: .pdf or .png file to draw; None for no figure.

    Raises:
        AdagenError: the policy is another experiment's, method's or generator's, or the figure's
            suffix is another one.
    """
    if figure is not None:  # before the sampling, not after it
        from adagen.paper.figures.style import require_drawable

        require_drawable(figure)
    settings, generator = open_experiment(
        config, experiment, generator_file=generator_file, method=method
    )
    policy, training_seed = open_policy(
        experiment, settings, generator, generator_file, method, policy_file
    )
    family = config.generators[settings.generator]
    labels, name = class_labels(samples, generator.num_classes), f"{experiment} {method}"
    table = schedule_table(
        _actions(
            generator, policy, labels=labels, seed=seed, batch=family.batch, name=name
        ).numpy(),
        generator.actions.handmade.cpu().numpy(),
        labels=labels.numpy(),
        names=generator.actions.names,
        experiment=experiment,
        method=method,
        training_seed=training_seed,
    )
    shown = with_effect(table, generator.actions.effective.numpy())
    if out is None:
        print(schedule_text(shown))
    else:
        write_schedule(table, out)
    if figure is not None:
        from adagen.paper.figures.schedule import policy_figure
        from adagen.paper.figures.style import save_figure

        save_figure(policy_figure(shown), figure)


def _actions(
    generator: Generator[Any],
    policy: Policy,
    *,
    labels: torch.Tensor,
    seed: int,
    batch: int,
    name: str,
) -> torch.Tensor:
    """(T, N, K) what samples 0 .. N-1 of a seed are steered by."""
    actions, indices = [], torch.arange(len(labels))
    with progress(None, name, total=len(labels)) as bar:
        for _, chosen in draw(generator, policy, "report", seed, indices, labels, batch):
            actions.append(chosen)
            bar.update(chosen.shape[1])
    return torch.cat(actions, 1)
