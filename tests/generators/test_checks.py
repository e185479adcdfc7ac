"""Checks of generators: built-in ones pass, and of broken ones each fails what it breaks."""

from dataclasses import replace

import pytest
import torch
from toy import Toy

from adagen.config import InstalledGenerator
from adagen.generators.actions import SIGMOID, Actions
from adagen.generators.checks import check_generator
from adagen.generators.installed import InstalledBackbone
from adagen.generators.report import GeneratorReport
from adagen.runtime.errors import AdagenError


class Sound(Toy):
    """The toy, whose raw state has its shape at every call."""

    def raw(self, state):
        return state.features[..., :1]


class Networks(InstalledBackbone):
    """Of a generator that needs none."""

    def __init__(self, settings, image_shape, *, num_classes):
        super().__init__(settings, image_shape, num_classes=num_classes)
        self.gain = torch.nn.Parameter(torch.ones(1))

    def learn(self, train, name, *, checkpoint, device):
        pass

    def generator(self, steps, handmade, *, smoothing):
        return Sound()


def networks(kind: type[Networks] = Networks) -> Networks:
    return kind(InstalledGenerator.model_construct(paradigm="toy"), (1, 2, 2), num_classes=3)


def failed(report: GeneratorReport) -> list[str]:
    return [check.name for check in report.failures]


def test_built_in_generators_pass(family, tiny_generator):
    report = check_generator(tiny_generator(family))
    assert not report.failures
    assert [check.name for check in report.checks if check.passed is None] == ["reload"]


def test_a_sound_generator_passes_all_with_its_networks():
    report = check_generator(Sound(), backbone=networks())
    assert all(check.passed for check in report.checks)
    assert str(report).startswith("Sound, 2 calls, actions level\n")
    assert str(report).count("\n  passed ") == len(report.checks)


class OutOfReach(Sound):
    actions = Actions(("level",), (SIGMOID,), torch.full((2, 1), 1.5), 0.0)


class OneSchedule(Sound):
    actions = Actions(("level", "level"), (SIGMOID,), torch.full((2, 1), 0.5), 0.0)


class FlatImages(Sound):
    def decode(self, state):
        return super().decode(state).flatten(1)


class FewFeatures(Sound):
    feature_width = 5


class Poles(Sound):
    def raw(self, state):
        return 1 / (0 * super().raw(state))


class Centred(Sound):
    def decode(self, state):
        return 2 * super().decode(state) - 1


class GlobalNoise(Sound):
    def decode(self, state):
        images = super().decode(state)
        return torch.rand_like(images)


class Constant(Sound):
    def start(self, labels, noise):
        return super().start(labels, replace(noise, seed=0))


class Neighbours(Sound):
    def decode(self, state):
        images = super().decode(state)
        return images / (1 + len(images))


class InPlace(Sound):
    def step(self, state, action):
        state.features.add_(0.1)
        return super().step(state, action)


class Boasting(Sound):
    stochastic = True


class Drawing(Sound):
    def step(self, state, action):
        drawn = state.noise.uniform(f"level/{state.call}", 1)
        return super().step(state, (action + drawn) / 2)


class OneForAll(Sound):
    def step(self, state, action):
        return super().step(state, action[:1].expand(len(action), -1))


class Averaging(Sound):
    def step(self, state, action):
        return super().step(state, action.mean(0, keepdim=True).expand(len(action), -1))


class Deaf(Sound):
    def step(self, state, action):
        return super().step(state, torch.full_like(action, 0.5))


class HiddenNoise(Sound):
    """Draws from a source of its own what its images don't show."""

    def step(self, state, action):
        after = super().step(state, action)
        return replace(after, features=after.features + torch.rand(len(action), 1, 1))


@pytest.mark.parametrize(
    ("kind", "name", "found"),
    [
        (OutOfReach, "hand-made", "level at call 0, where the hand-made schedule has 1.5"),
        (FlatImages, "shapes", "of shape (3, 4)"),
        (FewFeatures, "features", "(3, 4, 4), expected (3, 4, 5)"),
        (Poles, "finite", "raw after call 0"),
        (Centred, "range", "from -1 to 1"),
        (GlobalNoise, "seeds", "equal noise gives images that differ"),
        (Constant, "seeds", "another seed gives the same images"),
        (Neighbours, "batches", "alone and among others"),
        (OneForAll, "batches", "among others of other actions differs by"),
        (Averaging, "batches", "among others of other actions differs by"),
        (Deaf, "actions", "`step` ignores them"),
        (HiddenNoise, "seeds", "gives features or raw states that differ by"),
        (InPlace, "states", "at calls [0, 1]"),
        (Boasting, "stochastic", "never changes a step"),
        (Drawing, "stochastic", "is False, but other noise changes a step"),
    ],
)
def test_a_broken_generator_fails_what_it_breaks(kind, name, found):
    report = check_generator(kind(), strict=False)
    assert failed(report) == [name]
    assert found in report[name].found
    with pytest.raises(AdagenError, match=rf"{kind.__name__} is not .* {name}: "):
        check_generator(kind())


class Overshooting(Sound):
    """Images of the hand-made schedule are in range, and those of higher levels are not."""

    def decode(self, state):
        return 1.5 * super().decode(state) * (super().decode(state) < 0.99)


class WrongStep(Sound):
    def step(self, state, action):
        return super().step(state, action[:2])


class WrongDecode(Sound):
    def decode(self, state):
        return super().decode(state).view(-1, 7, 7)


class WrongStart(Sound):
    def start(self, labels, noise):
        return super().start(labels.view(7, 7), noise)


@pytest.mark.parametrize(
    ("kind", "name", "found"),
    [
        (Overshooting, "range", "under random actions"),
        (WrongStep, "runs", "step at call 0 raised RuntimeError"),
        (WrongDecode, "runs", "decode raised RuntimeError"),
        (WrongStart, "runs", "start raised RuntimeError"),
    ],
)
def test_a_fault_is_told_with_its_circumstances(kind, name, found):
    assert found in check_generator(kind(), strict=False)[name].found


@pytest.mark.parametrize(
    "name", ["actions", "grid", "feature_width", "raw_width", "num_classes", "nfe", "device"]
)
def test_a_missing_attribute_is_named(name):
    class Lacking(Sound):
        @property
        def lacking(self):
            raise AttributeError

    setattr(Lacking, name, Lacking.lacking)
    report = check_generator(Lacking(), strict=False)
    assert failed(report) == ["attributes"] and report["attributes"].found == f"lacks {name}"
    with pytest.raises(AdagenError, match=f"attributes: lacks {name}"):
        check_generator(Lacking())


def test_networks_that_their_file_would_lose_fail_to_reload():
    class Random(Networks):
        def __init__(self, settings, image_shape, *, num_classes):
            super().__init__(settings, image_shape, num_classes=num_classes)
            self.register_buffer("waves", torch.rand(3), persistent=False)

    report = check_generator(Sound(), backbone=networks(Random), strict=False)
    assert failed(report) == ["reload"] and "waves" in report["reload"].found


def test_what_cannot_be_looked_at_is_no_failure_of_its_own():
    class Silent(Sound):
        def start(self, labels, noise):
            raise RuntimeError("no weights")

    report = check_generator(Silent(), strict=False)
    assert failed(report) == ["runs"] and "RuntimeError: no weights" in report["runs"].found
    assert report["batches"].passed is None and report["hand-made"].passed


def test_all_failures_are_told_at_once():
    class Twice(Centred, InPlace):
        pass

    with pytest.raises(AdagenError, match=r"range: .*; states: ") as error:
        check_generator(Twice())
    assert "batches" not in str(error.value)
