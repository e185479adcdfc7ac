"""The verdict on a reward, in plain words, from the checks of `adagen.training.ranking`."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from adagen.training.health import knows_all, knows_nothing
from adagen.training.ranking import RewardCheck, Rung, ScoreSummary, agreement

RANKS = 0.6
"""Spearman from which the reward ranks. By chance nine rungs (four actions) reach it one time in
twenty, five rungs (two actions) one time in six."""
REVERSED = 0.0
"""Spearman below which it ranks backwards: of two rungs it more often prefers the worse one."""
APART = 0.1
"""Least relative difference of the extreme distances. Distances of 1,000 digits have errors of some
per cent, so the order of rungs that lie closer together may be chance."""
CHANGE = 0.2
"""Least change of Spearman with the steps that is reported. If two neighbours of nine rungs change
places it changes by 0.02, if two that are four places apart do, by 0.27."""
LARGE_SHARE = 0.5
"""Share of large logits from which most images have the same payoff, whatever the policy does."""
GAP = 0.1
"""Least difference of accuracy on train and held-out images that is reported: the standard error on
360 held-out digits is 0.026."""
SPACES = {"fid": "FD", "fid_label_free": "FD label-free"}
SECTION = 'docs/diagnose.md, "The verdict"'


@dataclass(frozen=True)
class Finding:
    """Part of a verdict: a name that programs can search for, and a sentence for people."""

    name: str
    text: str


def findings(
    rungs: Sequence[Rung], checks: Sequence[RewardCheck], *, warmup: int, saturates: bool
) -> list[Finding]:
    """The verdict; findings on the ranking come first.

    Args:
        rungs: the ladder with its distances.
        checks: of the reward, in the order of its steps; the verdict is on the last one.
        warmup: steps of the reward before the first policy update.
        saturates: whether payoffs are nearly equal where the reward is sure.
    """
    last = checks[-1]
    if too_close := _too_close(rungs):
        ranking: list[Finding | None] = [too_close]
    else:
        ranking = [_ranks(last), _late(checks, warmup), _trend(checks), _spaces(rungs, last)]
    found = [*ranking, *_discrimination(last, saturates)]
    return [finding for finding in found if finding]


def report_text(
    rungs: Sequence[Rung], checks: Sequence[RewardCheck], *, verdict: Sequence[Finding]
) -> str:
    """Tables of the ladder and of the checks, and the verdict, for a terminal."""
    last = checks[-1]
    rows = sorted(rungs, key=lambda rung: rung.fid)
    ladder = pd.DataFrame(
        {
            "rung": [rung.name for rung in rows],
            **{SPACES[space]: [getattr(rung, space) for rung in rows] for space in last.ranking},
            **_summary_columns([last.rungs[rung.name] for rung in rows], last.real is not None),
        }
    )
    trend = pd.DataFrame(
        {
            "steps": [check.steps for check in checks],
            **{
                f"{measure}, {SPACES[space]}": [
                    getattr(check.ranking[space], measure.lower()) for check in checks
                ]
                for space in last.ranking
                for measure in ("Spearman", "Kendall")
            },
            "Spearman of scores, FD": [check.logit_ranking["fid"].spearman for check in checks],
        }
    )
    return "\n\n".join(
        [
            f"The ladder after {last.steps} steps of the reward, best distance first",
            _table(ladder),
            "Rank correlation of mean reward and negative distance",
            _table(trend),
            *_sides(checks),
            *(finding.text for finding in verdict),
        ]
    )


def _sides(checks: Sequence[RewardCheck]) -> list[str]:
    """A table of the scores of real and generated images, if the reward discriminates."""
    if checks[-1].real is None:
        return []
    sides = pd.DataFrame(
        {
            "steps": [check.steps for check in checks],
            **{
                f"{side} {column}": [getattr(getattr(check, side), column) for check in checks]
                for column in ("accepted", "logit")
                for side in ("real", "heldout", "fake")
            },
            "gap": [check.gap for check in checks],
            "large logits": [check.fake.large for check in checks],
        }
    )
    title = "Share taken for real and mean logit: train, held-out and generated images"
    return [title, _table(sides)]


def _summary_columns(
    summaries: Sequence[ScoreSummary], discriminates: bool
) -> dict[str, list[float]]:
    columns = {
        "mean reward": [summary.reward for summary in summaries],
        "mean score": [summary.logit for summary in summaries],
    }
    accepted = {"taken for real": [summary.accepted for summary in summaries]}
    return columns | (accepted if discriminates else {})


def _table(table: pd.DataFrame) -> str:
    return table.to_string(index=False, float_format="{:.3f}".format, na_rep="-")


def _too_close(rungs: Sequence[Rung]) -> Finding | None:
    """The distances of the rungs differ too little to rank them."""
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
    """The finding on whether the reward ranks as the metric does."""
    spearman = _spearman(last)
    if spearman is None:
        return Finding(
            "flat", f"After {last.steps} steps all rungs have the same mean reward; see {SECTION}."
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


def _late(checks: Sequence[RewardCheck], warmup: int) -> Finding | None:
    """The reward ranks in the end, but not yet after the warm-up."""
    first = next((check for check in checks if check.steps == warmup), None)
    ready = next((check for check in checks if _ranks(check).name == "ranks"), None)
    if first is None or ready is None or ready.steps <= warmup:
        return None
    return Finding(
        "warm-up too short",
        f"After the {warmup} steps of the warm-up, when it first pays a policy, it ranks with "
        f"Spearman {_as_text(_spearman(first))} only, and well from {ready.steps} steps on: raise "
        "training.reward.warmup to that.",
    )


def _trend(checks: Sequence[RewardCheck]) -> Finding | None:
    """More steps made the ranking worse; or better, though not good yet."""
    known = [(spearman, check) for check in checks if (spearman := _spearman(check)) is not None]
    if not known:
        return None
    (first, first_check), (last, last_check) = known[0], known[-1]
    best, best_check = max(known, key=lambda pair: pair[0])
    if best - last >= CHANGE:
        return Finding(
            "more steps harm",
            f"More steps made it rank worse: Spearman {best:+.2f} after {best_check.steps}, "
            f"{last:+.2f} after {last_check.steps}. Train it less, or at a lower rate.",
        )
    if last < RANKS and last - first >= CHANGE:
        return Finding(
            "more steps help",
            f"More steps made it rank better: Spearman {first:+.2f} after {first_check.steps}, "
            f"{last:+.2f} after {last_check.steps}. Raise --steps, or its rate, to see "
            "how far that goes.",
        )
    return None


def _spaces(rungs: Sequence[Rung], last: RewardCheck) -> Finding | None:
    """The reward ranks with one space of the metric and against the other."""
    primary, other = _spearman(last), _spearman(last, "fid_label_free")
    if primary is None or other is None or primary * other >= 0:
        return None
    between = _as_text(agreement(rungs).spearman)
    return Finding(
        "spaces disagree",
        f"The reward goes with one space of the metric and against the other: Spearman "
        f"{primary:+.2f} with the primary distance, {other:+.2f} with the label-free one. With "
        f"each other the two spaces have {between}: where that is low, no reward ranks as both do.",
    )


def _discrimination(last: RewardCheck, saturates: bool) -> list[Finding | None]:
    """Findings on the accuracy of a discriminator; none for other rewards."""
    steps, real, heldout, fake = last.steps, last.real, last.heldout, last.fake
    if real is None or heldout is None:
        return []
    return [
        _saturation(steps, real, fake=fake) if saturates else None,
        _memorisation(steps, real, heldout=heldout),
        _blindness(steps, heldout, fake=fake),
    ]


def _saturation(steps: int, real: ScoreSummary, *, fake: ScoreSummary) -> Finding | None:
    """The discriminator is so sure that its rewards differ little."""
    rejected = 1 - fake.accepted
    if not knows_all(real.accepted, rejected) and fake.large <= LARGE_SHARE:
        return None
    return Finding(
        "saturated",
        f"The discriminator is saturated after {steps} steps: it is right about "
        f"{real.accepted:.1%} of the real and {rejected:.1%} of the generated images, and "
        f"{fake.large:.1%} of the latter have logits where the reward is flat. Slow it down.",
    )


def _memorisation(steps: int, real: ScoreSummary, *, heldout: ScoreSummary) -> Finding | None:
    """The discriminator knows the real images that it has seen better than others."""
    if real.accepted - heldout.accepted <= GAP:
        return None
    return Finding(
        "remembers",
        f"The discriminator remembers the training images: after {steps} steps it takes "
        f"{real.accepted:.1%} of them for real, but {heldout.accepted:.1%} of the held-out ones.",
    )


def _blindness(steps: int, heldout: ScoreSummary, *, fake: ScoreSummary) -> Finding | None:
    """The discriminator hardly tells real from generated images."""
    if not knows_nothing(heldout.accepted, 1 - fake.accepted):
        return None
    accuracy = (heldout.accepted + 1 - fake.accepted) / 2
    return Finding(
        "blind",
        f"After {steps} steps the discriminator hardly tells real from generated images "
        f"(accuracy {accuracy:.1%}). Give it more steps, a higher rate or better features.",
    )


def _spearman(check: RewardCheck, space: str = "fid") -> float | None:
    """Spearman of mean rewards in a space of the metric; None if it has no such space."""
    return check.ranking[space].spearman if space in check.ranking else None


def _as_text(spearman: float | None) -> str:
    return "none" if spearman is None else f"{spearman:+.2f}"
