"""Sampling over the bare forwards of the frozen network, and over plain steps.

Nothing can sample faster than its network's evaluations take. They are recorded in a rollout, and
made again with the same inputs.
"""

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass

import torch

from adagen.generators.drawing import in_parts
from adagen.generators.var import draw_filtered
from adagen.runtime.noise import SampleNoise
from adagen.sampling.rollout import rollout
from benchmarks.cases import DIGITS, WIDE, Case, digits, wide
from benchmarks.figures import FAMILIES, Figure
from benchmarks.straightforward import draw, plain_rollout, sorted_filter
from benchmarks.tape import Tape, repeated
from benchmarks.timing import Spread, alternate, ratio

AIMS = {
    (WIDE, "maskgit"): "<= 1.02",
    (WIDE, "var"): "<= 1.15",
    (WIDE, "dit"): "<= 1.02",
    (WIDE, "sit"): "<= 1.02",
    (DIGITS, "maskgit"): "<= 1.10",
    (DIGITS, "var"): "<= 1.50",
    (DIGITS, "dit"): "<= 1.08",
    (DIGITS, "sit"): "<= 1.08",
}
"""Aims of a rollout's time over that of its own evaluations."""
STEP_AIM = ">= 2.3"
"""Aim of sorting everything over VAR's filter and draw, at the paper's vocabulary."""

FEW = 4
"""Images of a batch at width 384 against plain steps."""
SHORT = 10
"""Rounds at the digits' size for each that is asked for, as one takes a second and says little."""


@dataclass(frozen=True)
class Draws:
    """Everything that VAR draws from at its finest scale, by the names that adagen gives it."""

    logits: torch.Tensor
    others: dict[str, torch.Tensor]

    def ours(self) -> torch.Tensor:
        """Ids (B, N) by adagen's guidance, filter and draw."""
        return in_parts(draw_filtered, self.logits, **self.others)[0]

    def plain(self) -> torch.Tensor:
        """Ids (B, N) by sorting the vocabulary."""
        given = self.others
        guided = self.logits + given["w"].view(-1, 1, 1) * (self.logits - given["null"])
        kept = sorted_filter(guided, given["top_k"], top_p=given["top_p"])
        return draw(kept / given["temperature"].view(-1, 1, 1), given["uniform"])


def draws(case: Case) -> Draws:
    """Random logits of the finest scale, under the published guidance and filter."""
    batch, generator = case.batch, case.generator
    vocabulary, positions = generator.backbone.network.head.out_features, math.prod(generator.grid)
    noise, numbers = SampleNoise("draws", 0, range(batch)), torch.ones(batch)
    others = {
        "null": 2 * noise.normal("null", positions, vocabulary),
        "w": 1.5 * numbers,
        "top_k": 0.2197 * vocabulary * numbers,
        "top_p": 0.96 * numbers,
        "temperature": numbers,
        "uniform": noise.uniform("ids", positions),
    }
    return Draws(2 * noise.normal("logits", positions, vocabulary), others)


def images(case: Case, *, plainly: bool = False) -> torch.Tensor:
    """Images of a case, by adagen or by plain steps."""
    sample = plain_rollout if plainly else rollout
    return sample(case.generator, case.policy, labels=case.labels, noise=case.noise)


def without_network(case: Case, *, plainly: bool) -> "Replay":
    """A rollout whose network takes no time."""
    return Replay(
        case, Tape.of(case.generator.backbone, lambda: images(case, plainly=plainly)), plainly
    )


@dataclass(frozen=True)
class Replay:
    """A rollout that is given the results of its network."""

    case: Case
    tape: Tape
    plainly: bool

    def __call__(self) -> torch.Tensor:
        """The images of the case."""
        with self.tape.played():
            return images(self.case, plainly=self.plainly)


def figures(*, tiny: bool, repeats: int) -> Iterator[Figure]:
    """Measure all families at both sizes."""
    least = 0.0 if tiny else 0.3
    for make in (digits, wide):
        rounds = SHORT * repeats if make is digits and not tiny else repeats
        for family in FAMILIES:
            case = make(family, tiny=tiny)
            yield from over_forwards(case, repeats=rounds, least=least)
            if family in ("maskgit", "var"):
                yield from over_plain(few(case), repeats=repeats, least=least)
        drawn = draws(few(make("var", tiny=tiny)))
        seconds = alternate(
            {"ours": drawn.ours, "plain": drawn.plain}, repeats=repeats, least=least
        )
        yield Figure.of(
            "steps",
            "sorting everything over guidance, filter and draw",
            spread=ratio(seconds, "plain", "ours"),
            case=case.size,
            family="var",
            aim=STEP_AIM if make is wide else "",
        )


def few(case: Case) -> Case:
    """A case with fewer images where they take many seconds."""
    return case.with_batch(FEW) if case.size == WIDE and case.batch > FEW else case


def over_forwards(case: Case, *, repeats: int, least: float) -> Iterator[Figure]:
    """A rollout's time over that of its evaluations, and how many of them it makes."""

    def figure(name: str, spread: Spread, aim: str = "") -> Figure:
        about = {"case": case.size, "family": case.family, "aim": aim}
        return Figure.of("sampling", name, spread=spread, **about)

    aim, tape = AIMS[case.size, case.family], Tape.of(case.generator.backbone, lambda: images(case))
    share = tape.rows / (case.generator.nfe * case.batch)
    images(case)
    again = [over_again(case, least) for _ in range(repeats)]
    yield figure("rollout over its forwards", Spread.of(again), aim)
    if share < 1:
        plain = Tape.of(case.generator.backbone, lambda: images(case, plainly=True))
        contestants = {"rollout": lambda: images(case), "plain forwards": plain.repeat}
        seconds = alternate(contestants, repeats=repeats, least=least)
        spread = ratio(seconds, "rollout", "plain forwards")
        yield figure("rollout over the forwards of plain steps", spread, aim)
    yield figure("evaluations made, of all", Spread.of([share]))


def over_again(case: Case, least: float) -> float:
    """Time of rollouts over that of their network's calls, each of which is made twice.

    What a call takes is the mean of the two. They differ by what the machine does meanwhile, which
    can be more than the overhead that is looked for.
    """
    began = stop = time.process_time()
    with repeated(case.generator.backbone) as seconds:
        while not seconds or stop - began < least:
            images(case)
            stop = time.process_time()
    forwards = sum(first + again for first, again in seconds) / 2
    return (stop - began - forwards) / forwards


def over_plain(case: Case, *, repeats: int, least: float) -> Iterator[Figure]:
    """Plain steps over adagen's: whole rollouts, and what they do beside evaluations."""
    about = {"case": case.size, "family": case.family}
    seconds = alternate(
        {"ours": lambda: images(case), "plain": lambda: images(case, plainly=True)},
        repeats=repeats,
        least=least,
    )
    yield Figure.of(
        "steps", "plain rollout over rollout", spread=ratio(seconds, "plain", "ours"), **about
    )
    seconds = alternate(
        {
            "ours": without_network(case, plainly=False),
            "plain": without_network(case, plainly=True),
        },
        repeats=repeats,
        least=least,
    )
    yield Figure.of(
        "steps",
        "plain over adagen, without the network",
        spread=ratio(seconds, "plain", "ours"),
        **about,
    )
