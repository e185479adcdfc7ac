"""The verdict on a reward, in plain words, from what `adagen.training.ranking` observed."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from adagen.training.ranking import Opinion, RewardCheck, Rung, agreement

RANKS = 0.6
"""Spearman from which the reward ranks: nine rungs (four actions) reach it by chance one time in
twenty, five rungs (two actions) one time in six."""
REVERSED = 0.0
"""Spearman below which it ranks backwards: of two rungs it more often prefers the worse one."""
APART = 0.1
"""Least relative difference of the extreme distances: those of 1,000 digits err by some per cent,
so the order of rungs that lie closer together may be the sampling's."""
CHANGE = 0.2
"""Change of Spearman with the steps that counts: two neighbours of nine rungs that change places
make 0.02, two that are four places apart 0.27."""
LARGE_SHARE = 0.5
"""Share of large logits from which most images are paid the same, whatever the policy does."""
SATURATED = 0.95
"""Accuracy on both sides from which hardly an image is left that a policy could gain by."""
BLIND = 0.55
"""Mean accuracy below which the sides are not told apart: 0.5 is a coin's."""
GAP = 0.1
"""Accuracy lost between train and held-out images that is more than chance: that on 360 held-out
digits errs by 0.026."""
SPACES = {"fid": "FD", "fid_label_free": "FD label-free"}
SECTION = 'docs/training.md, "Before training: does the reward rank?"'


@dataclass(frozen=True)
class Finding:
    """Part of a verdict: a name that programs can look for, and plain words."""

    name: str
    text: str


def findings(
    rungs: Sequence[Rung], looks: Sequence[RewardCheck], *, warmup: int, saturates: bool
) -> list[Finding]:
    """The verdict; what is said of ranking comes first.

    Args:
        rungs: the ladder with its distances.
        looks: at the reward, in the order of its steps; the last one counts.
        warmup: steps of the reward before the first policy update.
        saturates: whether the reward pays nearly the same where it is sure.
    """
    last = looks[-1]
    if together := _together(rungs):
        ranked: list[Finding | None] = [together]
    else:
        ranked = [_ranks(last), _late(looks, warmup), _course(looks), _spaces(rungs, last)]
    found = [*ranked, *_discrimination(last, saturates)]
    return [finding for finding in found if finding]


def report_text(
    rungs: Sequence[Rung], looks: Sequence[RewardCheck], *, verdict: Sequence[Finding]
) -> str:
    """Tables of the ladder and of the looks, and the verdict, for a terminal."""
    last = looks[-1]
    rows = sorted(rungs, key=lambda rung: rung.fid)
    ladder = pd.DataFrame(
        {
            "rung": [rung.name for rung in rows],
            **{SPACES[space]: [getattr(rung, space) for rung in rows] for space in last.ranking},
            **_opinions([last.rungs[rung.name] for rung in rows], last.real is not None),
        }
    )
    course = pd.DataFrame(
        {
            "steps": [look.steps for look in looks],
            **{
                f"{measure}, {SPACES[space]}": [
                    getattr(look.ranking[space], measure.lower()) for look in looks
                ]
                for space in last.ranking
                for measure in ("Spearman", "Kendall")
            },
            "Spearman of scores, FD": [look.logit_ranking["fid"].spearman for look in looks],
        }
    )
    return "\n\n".join(
        [
            f"The ladder after {last.steps} steps of the reward, best distance first",
            _table(ladder),
            "Rank correlation of mean reward and negative distance",
            _table(course),
            *_sides(looks),
            *(finding.text for finding in verdict),
        ]
    )


def _sides(looks: Sequence[RewardCheck]) -> list[str]:
    """What is thought of each side, under a reward that tells real from generated images."""
    if looks[-1].real is None:
        return []
    sides = pd.DataFrame(
        {
            "steps": [look.steps for look in looks],
            **{
                f"{side} {column}": [getattr(getattr(look, side), column) for look in looks]
                for column in ("accepted", "logit")
                for side in ("real", "heldout", "fake")
            },
            "gap": [look.gap for look in looks],
            "large logits": [look.fake.large for look in looks],
        }
    )
    title = "Share taken for real and mean logit: train, held-out and generated images"
    return [title, _table(sides)]


def _opinions(opinions: Sequence[Opinion], discriminates: bool) -> dict[str, list[float]]:
    columns = {
        "mean reward": [opinion.reward for opinion in opinions],
        "mean score": [opinion.logit for opinion in opinions],
    }
    taken = {"taken for real": [opinion.accepted for opinion in opinions]}
    return columns | (taken if discriminates else {})


def _table(table: pd.DataFrame) -> str:
    return table.to_string(index=False, float_format="{:.3f}".format, na_rep="-")


def _together(rungs: Sequence[Rung]) -> Finding | None:
    """The distances are too close to be ranked by."""
    distances = [rung.fid for rung in rungs]
    best, worst = min(distances), max(distances)
    if worst >= (1 + APART) * best:
        return None
    return Finding(
        "no ladder",
        f"No verdict on ranking: the rungs hardly differ (distances {best:.3g} to {worst:.3g}), so "
        "their order may be chance. Raise --shift or --samples.",
    )


def _ranks(last: RewardCheck) -> Finding:
    spearman = _spearman(last)
    if spearman is None:
        return Finding(
            "flat", f"After {last.steps} steps the reward pays every rung the same; see {SECTION}."
        )
    numbers = f"(Spearman {spearman:+.2f} after {last.steps} steps)"
    if spearman >= RANKS:
        return Finding("ranks", f"The reward ranks the ladder as the metric does {numbers}.")
    if spearman < REVERSED:
        return Finding(
            "backwards",
            f"The reward ranks the ladder backwards {numbers}: don't train with it; see {SECTION}.",
        )
    return Finding(
        "in part",
        f"The reward ranks the ladder only in part {numbers}: a policy may gain reward without "
        f"getting better; see {SECTION}.",
    )


def _late(looks: Sequence[RewardCheck], warmup: int) -> Finding | None:
    """It ranks in the end, but not yet when it first pays."""
    first = next((look for look in looks if look.steps == warmup), None)
    ready = next((look for look in looks if _ranks(look).name == "ranks"), None)
    if first is None or ready is None or ready.steps <= warmup:
        return None
    return Finding(
        "warm-up too short",
        f"After the {warmup} steps of the warm-up, when it first pays a policy, it ranks with "
        f"Spearman {_told(_spearman(first))} only, and well from {ready.steps} steps on: raise "
        "training.reward.warmup to that.",
    )


def _course(looks: Sequence[RewardCheck]) -> Finding | None:
    """More steps made it rank worse; or better, though not well yet."""
    known = [(spearman, look) for look in looks if (spearman := _spearman(look)) is not None]
    if not known:
        return None
    (first, before), (last, now) = known[0], known[-1]
    best, then = max(known, key=lambda pair: pair[0])
    if best - last >= CHANGE:
        return Finding(
            "more steps harm",
            f"More steps made it rank worse: Spearman {best:+.2f} after {then.steps}, {last:+.2f} "
            f"after {now.steps}. Train it less, or at a lower rate.",
        )
    if last < RANKS and last - first >= CHANGE:
        return Finding(
            "more steps help",
            f"More steps made it rank better: Spearman {first:+.2f} after {before.steps}, "
            f"{last:+.2f} after {now.steps}. Raise --steps, or its rate, to see how far that goes.",
        )
    return None


def _spaces(rungs: Sequence[Rung], last: RewardCheck) -> Finding | None:
    """It goes with one space of the metric and against the other."""
    primary, other = _spearman(last), _spearman(last, "fid_label_free")
    if primary is None or other is None or primary * other >= 0:
        return None
    own = _told(agreement(rungs).spearman)
    return Finding(
        "spaces disagree",
        f"The reward goes with one space of the metric and against the other: Spearman "
        f"{primary:+.2f} with the primary distance, {other:+.2f} with the label-free one. With "
        f"each other the two spaces have {own}: where that is low, no reward ranks as both do.",
    )


def _discrimination(last: RewardCheck, saturates: bool) -> list[Finding | None]:
    """How a discriminator tells real from generated images; nothing of other rewards."""
    steps, real, heldout, fake = last.steps, last.real, last.heldout, last.fake
    if real is None or heldout is None:
        return []
    return [
        _saturation(steps, real, fake=fake) if saturates else None,
        _memory(steps, real, heldout=heldout),
        _blindness(steps, heldout, fake=fake),
    ]


def _saturation(steps: int, real: Opinion, *, fake: Opinion) -> Finding | None:
    rejected = 1 - fake.accepted
    accurate = min(real.accepted, rejected) > SATURATED
    if not accurate and fake.large <= LARGE_SHARE:
        return None
    return Finding(
        "saturated",
        f"The discriminator is saturated after {steps} steps: it is right about "
        f"{real.accepted:.1%} of the real and {rejected:.1%} of the generated images, and "
        f"{fake.large:.1%} of the latter have logits where the reward is flat. Slow it down.",
    )


def _memory(steps: int, real: Opinion, *, heldout: Opinion) -> Finding | None:
    if real.accepted - heldout.accepted <= GAP:
        return None
    return Finding(
        "remembers",
        f"The discriminator remembers the training images: after {steps} steps it takes "
        f"{real.accepted:.1%} of them for real, but {heldout.accepted:.1%} of the held-out ones.",
    )


def _blindness(steps: int, heldout: Opinion, *, fake: Opinion) -> Finding | None:
    accuracy = (heldout.accepted + 1 - fake.accepted) / 2
    if accuracy >= BLIND:
        return None
    return Finding(
        "blind",
        f"After {steps} steps the discriminator hardly tells real from generated images "
        f"(accuracy {accuracy:.1%}). Give it more steps, a higher rate or better features.",
    )


def _spearman(look: RewardCheck, space: str = "fid") -> float | None:
    return look.ranking[space].spearman if space in look.ranking else None


def _told(spearman: float | None) -> str:
    return "none" if spearman is None else f"{spearman:+.2f}"
