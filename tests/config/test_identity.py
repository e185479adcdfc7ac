"""What results depend on: no key is forgotten."""

from collections.abc import Iterator

import pytest
from every_key import EVERY_SECTION, RELEASED, Key, changed
from minimal import MINIMAL, with_value
from pydantic import ValidationError

from adagen.config import (
    LEARNED,
    SEARCHED,
    Captions,
    Config,
    Dataset,
    identity,
    parse_config,
    shown,
)
from adagen.config.bindings import of_metrics, of_samples
from adagen.config.identity import CHANGES_NO_RESULT
from adagen.config.overlay import overlay
from adagen.config.runs import Run, ablation_runs, evaluations, rival_runs, runs_of


def results(config: Config) -> Iterator[object]:
    """The identity of every job, file and run of a configuration."""
    yield [runs_of(config), ablation_runs(config), rival_runs(config), [*evaluations(config)]]
    for of_run in (
        identity.dataset,
        identity.metric_networks,
        identity.reward_features,
        identity.preference,
        identity.reference,
        identity.evaluate,
        shown.system,
        shown.steps,
        shown.stopping,
        shown.ablation,
        shown.rivals,
    ):
        yield of_run(config)
    for name in ("fidelity", "guidance"):
        yield getattr(config.curves, name) and shown.curve(config, name=name)
    for name, settings in config.generators.items():
        yield identity.pretrain(config, name)
        yield identity.generator_file(name, settings, dataset=config.dataset)
    for name, experiment in config.every_experiment.items():
        yield identity.policy_file(name, experiment, generator_hash="")
        for of_experiment in (identity.released, identity.sample, identity.judge):
            yield of_experiment(config, name)
        yield [identity.sweep(config, name, search=method) for method in SEARCHED]
        yield [identity.train(config, name, method=method) for method in LEARNED]
        yield identity.fit_judges(config, name)
        yield [
            identity.refine(config, name, refinement=refinement)
            for refinement in config.refinements
        ]


@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")
def test_every_key_changes_a_result_or_is_said_not_to() -> None:
    """A key that is forgotten would run nothing again, and pass for what it isn't in files."""
    seen: set[Key] = set()
    effective: set[Key] = set()
    for content in (EVERY_SECTION, overlay(EVERY_SECTION, RELEASED)):
        config = parse_config(content, "test")
        before = [*results(config)]
        for key, other in changed(config):
            assert key is not None
            seen.add(key)
            if key not in effective and differs(other, before):
                effective.add(key)
    assert seen - effective == {
        (kind, name) for kind, names in CHANGES_NO_RESULT.items() for name in names
    }


def differs(config: Config, before: list[object]) -> bool:
    """Whether a result has another identity, or a part is named that isn't there."""
    try:
        return any(one != other for one, other in zip(results(config), before, strict=True))
    except ValidationError:  # a variant that can't be: its keys stand in experiments too
        return False
    except (KeyError, ValueError):
        return True


def test_a_search_around_policies_counts_for_the_methods_that_have_one():
    plain, polished = (
        parse_config(content, "test") for content in (MINIMAL, with_value("training.polish", {}))
    )
    for method in LEARNED:
        known = [identity.train(config, "toy_t4", method=method) for config in (plain, polished)]
        assert (known[0] == known[1]) == (method in ("faithful", "stopping"))


def test_a_clip_score_counts_where_samples_are_measured_alone():
    def bound(**keys):
        content = with_value("evaluation.clip_score", keys or None)
        config = parse_config(content, "toy")
        run = Run("toy_t4", "handmade")
        return of_metrics(config, run), of_samples(config, run)

    without, scored, worded = bound(), bound(weights="x"), bound(weights="x", prompt="a {}")
    assert "clip_score" not in without[0]
    assert without[0].items() < scored[0].items()
    assert scored[0] != worded[0]
    assert without[1] == scored[1] == worded[1]


def test_every_key_of_captions_counts_where_images_are_listed():
    captions = Captions(train="t.json", heldout="v.json", most=5, count=3)
    dataset = Dataset(name="coco", folder="t", heldout_folder="v", size=16, captions=captions)
    config = parse_config(MINIMAL, "toy")
    base = identity.dataset(config.model_copy(update={"dataset": dataset}))
    assert "captions" not in identity.dataset(config)
    for key in Captions.model_fields:
        value = getattr(captions, key)
        changed_to = value + 1 if isinstance(value, int) else f"{value}-other"
        other = captions.model_copy(update={key: changed_to})
        changed = dataset.model_copy(update={"captions": other})
        assert identity.dataset(config.model_copy(update={"dataset": changed})) != base, key
