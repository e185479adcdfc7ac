"""Prices of an evaluation: one policy that ends samples early for each (docs/stopping.md)."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field

from adagen.config.base import FAMILIES, REASONS, Model
from adagen.config.dials import Rising
from adagen.config.experiments import OF_ITSELF, RIVALS, Experiment, Price, Training


class StoppingCurve(Model):
    """Quality against mean compute: an experiment whose samples stop early, at several prices."""

    prices: Annotated[tuple[Price, ...], Field(min_length=1), Rising]
    """Values of `training.price`, rising; each is a policy of the method `stopping`."""
    training: Training = Training()
    """Settings for training these policies. Keys that are left out are those of the experiment,
    not the defaults below; `price` has no effect."""


@dataclass(frozen=True)
class Priced:
    """An experiment at one of the prices of its curve.

    Attributes:
        base: name of the experiment that the curve belongs to.
        name: name of the experiment at this price, `<base>-price-<price>`.
        price: price of an evaluation, in units of the reward.
        experiment: settings of the experiment.
    """

    base: str
    name: str
    price: float
    experiment: Experiment


def priced(
    curves: Mapping[str, StoppingCurve], experiments: Mapping[str, Experiment]
) -> Iterator[Priced]:
    """The prices of every curve, in ascending order."""
    for base, curve in curves.items():
        for price in curve.prices:
            training = curve.training.model_copy(update={"price": price})
            changed = {"training": training, **OF_ITSELF}
            derived = experiments[base].model_copy(update=changed)
            yield Priced(base, f"{base}-price-{price:g}", price, derived)


def compared_with(base: Experiment, others: Mapping[str, Experiment]) -> list[str]:
    """Names of the experiments that are `base` at its own or another fixed number of steps.

    They share its generator, and the way in which that works; policies may be trained otherwise.
    """
    keys = ("generator", *(key for key in RIVALS if key != "coefficients"))
    return [
        name
        for name, other in others.items()
        if all(getattr(other, key) == getattr(base, key) for key in keys)
    ]


def check_prices(
    names: Iterable[str], experiments: Mapping[str, Experiment], *, generators: Mapping[str, Any]
) -> None:
    """Raise unless the samples of these experiments can stop early.

    Raises:
        ValueError: those of one can't.
    """
    families = FAMILIES["stopping"]
    for name in names:
        generator = generators.get(experiments[name].generator)
        if generator is not None and generator.paradigm not in families:
            raise ValueError(
                f"curves.stopping has {name!r}, but only samples of {', '.join(families)} can stop "
                f"early{REASONS['stopping']}: take it out"
            )
