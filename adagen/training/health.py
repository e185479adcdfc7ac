"""Warnings in plain words about a training, from its log alone (docs/training.md).

They change nothing: the run goes on, and its user decides. A threshold counts only when it is
crossed in `WINDOW` updates in a row, or in `RISES` validations: a single one may be chance.

The two judgements on a discriminator's accuracy, `knows_all` and `knows_nothing`, hold before a
training too (`adagen.training.ranking_report`).
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from adagen.training.log import Record, validations

WINDOW = 3
"""Updates in a row: enough to exclude chance, and a tenth of a short run."""
KNOWS_ALL = 0.95
"""Accuracy on both sides above which hardly an image is left that a policy could gain by: nearly
all rewards are near zero, and their differences say little."""
KNOWS_NOTHING = 0.55
"""Mean accuracy over both sides below which a discriminator is hardly better than a coin (0.5)."""
KL_LIMIT = 0.1
"""Divergence in nats per call. Runs that improved stayed below 0.07 in every update."""
CLIP_LIMIT = 0.5
"""Share of calls outside the clip range, above which most calls have no gradient any more."""
DIED = 0.5
"""Share that has died of the calls in which an action was alive at first. Some are dead in the
hand-made schedule: the ends of time, the guidance of a first call."""
LATE = 0.75
"""Share of a run after which exploration is near its least, and adaptation should show."""
ALIKE = 0.05
"""Spread over samples, as a share of the spread with exploration, that no image shows."""
RISES = 3
"""Validations in a row that are each worse than the one before, or than the start."""
WORSE = 0.05
"""Relative rise of the distance over them. All validations share their noise; of few samples they
may yet rise three times by chance, once in 24."""


def warnings(
    records: Sequence[Record], updates: int, *, adaptive: bool, saturates: bool
) -> dict[str, str]:
    """The warnings after the last of the updates so far.

    Args:
        records: the training log until now, one record at least.
        updates: number of updates of the whole run.
        adaptive: whether the policy sees the samples.
        saturates: whether payoffs are nearly equal where the reward is sure.

    Returns:
        The sentence of each warning, by its name.
    """
    recent = records[-WINDOW:] if len(records) >= WINDOW else ()
    found = _discriminator(recent, saturates) | _steps(recent) | dict(_actions(records[0], recent))
    if adaptive and records[-1]["update"] >= LATE * updates:
        found |= _collapse(records[-1])
    return found | _hacking(records)


def knows_all(real: float, fake: float) -> bool:
    """True if these accuracies on real and on generated images saturate a sigmoid reward."""
    return min(real, fake) > KNOWS_ALL


def knows_nothing(real: float, fake: float) -> bool:
    """True if these accuracies on real and on generated images are hardly better than a coin's."""
    return (real + fake) / 2 < KNOWS_NOTHING


def _discriminator(recent: Sequence[Record], saturates: bool) -> dict[str, str]:
    """The discriminator is saturated, or fooled."""
    if not recent or recent[-1]["accuracy_fake"] is None:
        return {}
    both = [(record["accuracy_real"], record["accuracy_fake"]) for record in recent]
    if saturates and all(knows_all(real, fake) for real, fake in both):
        return {
            "discriminator_saturated": f"the discriminator tells more than {KNOWS_ALL:.0%} of real "
            "and of generated images apart: rewards are all near zero and teach little. Slow it "
            "down: fewer training.reward.steps, or a lower learning_rate."
        }
    if all(knows_nothing(real, fake) for real, fake in both):
        return {
            "discriminator_fooled": "the discriminator tells real from generated images little "
            "better than a coin: its rewards say little of quality. Give it more "
            "training.reward.steps and warmup, or components; or better reward_features."
        }
    return {}


def _steps(recent: Sequence[Record]) -> dict[str, str]:
    """The policy moves farther in an update than its trajectories support."""
    found = {}
    if recent and all(record["kl"] > KL_LIMIT for record in recent):
        found["kl_high"] = (
            f"the policy changes by {recent[-1]['kl']:.2g} nats a call in an update, more than "
            f"{KL_LIMIT}: lower its learning rate, or training.epochs."
        )
    if recent and all(record["clip_fraction"] > CLIP_LIMIT for record in recent):
        found["clip_fraction_high"] = (
            f"{recent[-1]['clip_fraction']:.0%} of the calls have left the clip range: most of "
            "what was drawn teaches nothing. Lower the learning rate, or training.epochs."
        )
    return found


def _actions(first: Record, recent: Sequence[Record]) -> Iterator[tuple[str, str]]:
    """Actions that exploration no longer moves, because they are saturated or for other reasons."""
    for name in first["dead_share"] if recent else ():
        if _died("saturated_share", name, first=first, recent=recent):
            yield (
                f"{name}_saturated",
                f"the action {name} has gone to an end of its range, where its logit hardly moves "
                "it. If the validation distance is not better there, start again with a lower "
                "learning rate; see docs/training.md.",
            )
        elif _died("dead_share", name, first=first, recent=recent):
            yield (
                f"{name}_dead",
                f"the action {name} has died: exploration hardly moves it, so nothing more is "
                "learnt of it. If the validation distance is not better there, explore with a "
                "larger last training.sigma; see docs/training.md.",
            )


def _died(field: str, name: str, *, first: Record, recent: Sequence[Record]) -> bool:
    """True if an action has died in at least the share `DIED` of the calls where it was alive."""
    least = _share(first[field], name)
    return all(_share(record[field], name) >= least + DIED * (1 - least) for record in recent)


def _share(shares: Mapping[str, float], name: str) -> float:
    """The share of an action; an unbounded one is never saturated."""
    return shares.get(name, 0.0)


def _collapse(last: Record) -> dict[str, str]:
    """An adaptive policy treats all samples alike."""
    apart, explored = last["validation_spread"], last["action_spread"]
    if apart is None or any(apart[name] >= ALIKE * explored[name] for name in apart):
        return {}
    return {
        "policy_collapsed": "the policy does the same to all samples, though it could look at "
        "them: it is a static schedule. Look whether within_share is tiny; try more updates, a "
        "larger training.sigma or learning_rate."
    }


def _hacking(records: Sequence[Record]) -> dict[str, str]:
    """The samples get worse while the policy is trained, whatever the reward says of them.

    The reward of a discriminator is relative to what it has learnt by then. So it may stay or fall
    while a policy earns it by images that are worse.
    """
    measured, start = validations(records), records[0]["start_fid"]
    last = measured[-RISES - 1 :]
    distances = [record["validation_fid"] for record in last]
    if len(last) <= RISES:
        return {}
    if all(after > before for before, after in pairwise(distances)):
        what, since = f"has risen {RISES} times in a row", last[0]
    elif start is not None and min(distances[1:]) > (1 + WORSE) * start:
        what, since = f"has stayed above that at the start {RISES} times", measured[0]
    else:
        return {}
    if distances[-1] <= (1 + WORSE) * since["validation_fid"]:
        return {}
    went = "rose" if last[-1]["reward"] > since["reward"] else "did not rise"
    return {
        "reward_hacked": f"the validation distance {what}, from {since['validation_fid']:.3g} to "
        f"{distances[-1]:.3g}{_other_space(since, last[-1])}, while the reward {went} "
        f"({since['reward']:.3g} to {last[-1]['reward']:.3g}): the reward leads elsewhere than the "
        "distance. Check with `adagen diagnose reward` that it ranks schedules as the distance "
        "does."
    }


def _other_space(before: Record, after: Record) -> str:
    """The change of the label-free distance meanwhile, if there is one: the spaces may disagree."""
    distances = [record["validation_fid_label_free"] for record in (before, after)]
    if None in distances:
        return ""
    return f" (the label-free one from {distances[0]:.3g} to {distances[1]:.3g})"
