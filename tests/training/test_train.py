"""`adagen.train` on the toy whose best schedule is known, and on digits."""

from functools import partial

import pytest
import torch
from toy import SIZE, Toy

import adagen
from adagen import AdagenError
from adagen.config import Fit, MetricNetworks, RewardFeatures, Transformer
from adagen.data.split import Images
from adagen.generators.actions import SIGMOID, Actions
from adagen.policy.networks import HandMade
from adagen.rewards.pretrained import CallableReward
from adagen.runtime.noise import torch_generator
from adagen.training import from_data

SETTINGS = {
    "updates": 30,
    "trajectories": 128,
    "batch": 128,
    "learning_rate": 1e-2,
    "table_learning_rate": 0.0,
}


def near_target(images, labels):
    """Minus the squared error of both levels; the target depends on the sample's hidden sign."""
    hidden, first, second = images.flatten(1)[:, :3].T
    target = 0.2 + 0.6 * hidden
    return -(first - target).square() - (second - target).square()


train_toy = partial(adagen.train, reward=near_target, policy=SIZE, progress=False, **SETTINGS)


def test_a_reward_function_is_all_that_a_training_needs(capsys):
    sampler = train_toy(Toy())
    assert "it/s" not in capsys.readouterr().err
    samples = sampler(labels=0, n=200)
    reached = near_target(samples.images, samples.labels).mean()
    # The hand-made schedule has 0.5 throughout: an error of 2 x 0.3 squared.
    assert reached > -0.3 * 0.18
    assert len(sampler.log) == 30 and list(sampler.log["update"]) == list(range(1, 31))
    assert sampler.log["reward"].iloc[-1] > sampler.log["reward"].iloc[0] + 0.05
    assert {"action_mean/level", "kl", "entropy"} <= set(sampler.log.columns)


class Killed(Exception):
    """Stands for a kill."""


def test_a_resumed_training_equals_an_uninterrupted_one(tmp_path):
    calls = iter(range(100))

    def dies(images, labels):
        if next(calls) == 3:
            raise Killed
        return near_target(images, labels)

    short = partial(train_toy, method="static", updates=6)
    with pytest.raises(Killed):
        short(Toy(), reward=dies, checkpoint=tmp_path / "run")
    # As after memory ran out: with other settings of those that change no result.
    lower = {"batch": 64, "backward_memory": 1, "keep_features": "host"}
    resumed, whole = short(Toy(), checkpoint=tmp_path / "run", **lower), short(Toy())
    assert torch.equal(resumed.policy.table, whole.policy.table)
    without_time = [sampler.log.drop(columns="seconds") for sampler in (resumed, whole)]
    assert without_time[0].equals(without_time[1])
    # The finished training is returned, and no other one is mixed up with it.
    again = short(Toy(), checkpoint=tmp_path / "run")
    assert torch.equal(again.policy.table, whole.policy.table)
    with pytest.raises(AdagenError, match=r"resumable state of something else.*seed 1"):
        short(Toy(), checkpoint=tmp_path / "run", seed=1)
    with pytest.raises(AdagenError, match=r"resumable state of something else.*keep_features"):
        short(Toy(), checkpoint=tmp_path / "run", keep_features="bfloat16")


class Firmer(Toy):
    actions = Actions(("level",), (SIGMOID,), torch.full((2, 1), 0.6), 0.0)


class Reweighted(Toy):
    """The toy with another network: its images have another last pixel."""

    def decode(self, state):
        return super().decode(state).index_fill(3, torch.tensor(1), 0.01)


@pytest.mark.parametrize(
    ("first", "second", "changed"),
    [
        ({"reward": lambda x, y: x[:, 0, 0, 1]}, {"reward": lambda x, y: -x[:, 0, 0, 1]}, "scores"),
        ({}, {"generator": type("Toy", (Firmer,), {})()}, "handmade"),
        ({}, {"generator": type("Toy", (Reweighted,), {})()}, "images"),
        ({"data": (torch.zeros(30, 1, 2, 2), torch.arange(30) % 3)}, {}, "data"),
    ],
)
def test_resumable_state_is_of_one_generator_reward_and_data(tmp_path, first, second, changed):
    run = partial(train_toy, method="static", updates=1, checkpoint=tmp_path / "run")
    one = run(**{"generator": Toy(), **first})
    assert torch.equal(run(**{"generator": Toy(), **first}).policy.table, one.policy.table)
    with pytest.raises(AdagenError, match=rf"resumable state of something else: .*{changed}"):
        run(**{"generator": Toy(), **first, "data": None, **second})


def test_the_sizes_of_the_policy_are_a_section_too():
    sampler = train_toy(Toy(), policy={"hidden": 32, "pointwise": 8}, updates=1)
    assert sampler.policy_file.metadata["size"]["hidden"] == 32
    with pytest.raises(AdagenError, match=r"adagen\.train, policy: unknown key 'hiden'.*hidden"):
        train_toy(Toy(), policy={"hiden": 32}, updates=1)


def test_seeds_and_methods_make_different_policies():
    one, other = (train_toy(Toy(), method="static", updates=2, seed=seed) for seed in (0, 1))
    assert not torch.equal(one.policy.table, other.policy.table)


class Longer(Toy):
    actions = Actions(("level",), (SIGMOID,), torch.full((3, 1), 0.5), 0.0)


class Renamed(Toy):
    actions = Actions(("height",), (SIGMOID,), torch.full((2, 1), 0.5), 0.0)


class Wider(Toy):
    feature_width = 5


@pytest.mark.parametrize("method", ["static", "adagen"])
def test_the_policy_of_a_generator_without_a_file_is_loaded_onto_the_generator(tmp_path, method):
    trained, path = train_toy(Toy(), method=method, updates=2), tmp_path / "policy.safetensors"
    trained.save(path)
    loaded = adagen.load(path, Toy())
    assert torch.equal(loaded(n=5).images, trained(n=5).images)
    assert not torch.equal(loaded(n=5).images, adagen.load(None, Toy())(n=5).images)
    loaded.save(path)
    assert torch.equal(adagen.load(str(path), Toy(), batch=2)(n=5).images, trained(n=5).images)


@pytest.mark.parametrize(
    ("kind", "arguments", "message"),
    [
        (Longer, {}, "made for something else: steers.class is 'Toy' there and 'Longer' here"),
        (type("Toy", (Longer,), {}), {}, "steers.calls is 2 there and 3 here"),
        (type("Toy", (Renamed,), {}), {}, r"steers.actions is \['level'\] there and \['height'\]"),
        (type("Toy", (Wider,), {}), {}, "steers.width is 4 there and 5 here"),
        (Toy, {"steps": 3}, "steps was given, but the generator is an object"),
        (Toy, {"device": "cuda"}, "device was given, but the generator is an object"),
    ],
)
def test_a_policy_is_loaded_onto_no_other_generator(tmp_path, kind, arguments, message):
    train_toy(Toy(), method="static", updates=1).save(tmp_path / "policy.safetensors")
    with pytest.raises(AdagenError, match=message):
        adagen.load(tmp_path / "policy.safetensors", kind(), **arguments)


class Grouped(CallableReward):
    """A reward that judges images in groups, and must not be asked before that is checked."""

    norm_group = 8

    def pool(self, images, *source, views=1):
        raise AssertionError("a search or training began")


IMAGES = torch.rand(30, 1, 2, 2, generator=torch_generator("train test"))
LABELS = torch.arange(30) % 3


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"updates": 0}, r"adagen\.train: key 'updates' is 0, but .* greater than 0"),
        ({"upates": 3}, r"unknown key 'upates'.*updates"),
        ({"trajectories": 10}, "trajectories must be a multiple of group"),
        ({"method": "tuned"}, "method is 'tuned': choose one of adagen, static"),
        ({"reward": 3}, "reward is 3: give the name of a reward"),
        ({"reward": "beauty"}, "'beauty', but must be one of 'gaussian'"),
        ({"reward": "gaussian"}, "data is None, but this reward compares with real images"),
        ({"reward": lambda images, labels: images}, r"returned .* shape \(128, 1, 2, 2\)"),
        (
            {"reward": Grouped(near_target, torch.device("cpu")), "trajectories": 12, "group": 4},
            "trajectories: 12, but .* use a multiple of 8",
        ),
        (
            {"reward": "frechet", "trajectories": 64},
            "trajectories is 64, but a reward of kind 'frechet' over 64 components takes more",
        ),
        ({"data": IMAGES}, r"data is a Tensor: give \(images, labels\)"),
        ({"data": (IMAGES[0], LABELS)}, r"images of shape \(1, 2, 2\): give a tensor"),
        ({"data": (IMAGES * 255, LABELS)}, r"floats in \[0, 1\]; divide 8-bit images by 255"),
        ({"data": (IMAGES, LABELS[:5])}, r"labels of shape \(5,\).* for 30 images"),
        ({"data": (IMAGES, LABELS + 1)}, r"labels from 1 to 3, but .* classes 0 to 2"),
        ({"data": (IMAGES[:0], LABELS[:0])}, r"images of shape \(0, 1, 2, 2\): .* none of which"),
        ({"data": Images(IMAGES, LABELS + 1)}, r"labels from 1 to 3, but .* classes 0 to 2"),
        ({"data": Images(IMAGES[:0], LABELS[:0])}, r"images of shape \(0, 1, 2, 2\)"),
        ({"data": Images(IMAGES * 255, LABELS)}, r"floats in \[0, 1\]; divide 8-bit images by 255"),
        ({"data": Images(IMAGES * torch.nan, LABELS)}, r"from nan to nan: give floats in \[0, 1\]"),
        ({"data": (IMAGES.numpy(), LABELS)}, "images as ndarray: give a tensor of torch"),
        (
            {"data": (IMAGES, ["cat"] * 30)},
            r"labels that torch can't take as integers \(.*str.*\): give one integer",
        ),
        ({"data": (IMAGES[:9], LABELS[:9])}, "9 images of 3 classes: give at least 15"),
        ({"data": (IMAGES.tile(2, 2), LABELS)}, r"shape \(1, 2, 2\) .* those .* have \(1, 4, 4\)"),
        ({"data": "digits"}, "10 classes, but the generator makes 3"),
        ({"data": "nowhere"}, "'nowhere', which does not exist"),
        ({"polish": {}}, "polish is given, .* a function as reward has no validations"),
        ({"polish": {}, "method": "stopping"}, "polish is given, but samples that may stop"),
    ],
)
def test_what_cannot_be_trained_is_refused(wrong, message):
    with pytest.raises(AdagenError, match=message):
        train_toy(Toy(), **{"updates": 1, "static_learning_rate": 1e-2, **wrong})


def test_what_is_no_generator_is_refused():
    sampler = adagen.Sampler(Toy(), HandMade(1))
    with pytest.raises(AdagenError, match=r"adagen\.train was given a Sampler.*its `generator`"):
        train_toy(sampler)
    with pytest.raises(AdagenError, match="given a str, which is no generator: give a generator"):
        train_toy("sit.safetensors")


@pytest.fixture
def hasty(monkeypatch):
    """Networks behind rewards and distances that are fitted in no time."""
    fit = Fit(updates=3, batch=16)
    small = partial(RewardFeatures, network=Transformer(width=8, depth=1, heads=2), fit=fit)
    monkeypatch.setattr(from_data, "RewardFeatures", small)
    networks = partial(MetricNetworks, width=8, classifier=fit, autoencoder=fit)
    monkeypatch.setattr(from_data, "MetricNetworks", networks)


TOKENS = {"kind": "tokens", "channels": 8, "batch": 16, "steps": 2, "warmup": 3}
CONVOLUTION = {**TOKENS, "kind": "convolution"}


@pytest.mark.parametrize("reward", ["gaussian", TOKENS, "frechet", CONVOLUTION])
def test_a_named_reward_is_made_from_data_and_the_nearest_policy_is_kept(
    hasty, tiny_generator, tmp_path, reward
):
    generator = tiny_generator("sit")
    sampler = adagen.train(
        generator,
        "digits",
        reward=reward,
        method="static",
        checkpoint=tmp_path / "run",
        progress=False,
        updates=3,
        trajectories=96,
        group=4,
        validate_every=1,
        validate_samples=40,
    )
    distances = sampler.log["validation_fid"]
    assert distances.notna().all() and (distances >= 0).all()
    assert sampler(n=4).images.shape == (4, 1, 8, 8)
    sampler.save(tmp_path / "policy.safetensors")
    assert (tmp_path / "policy.safetensors").exists()


def test_too_few_images_to_validate_with_are_named(hasty, tiny_generator, capsys):
    images = torch.rand(50, 1, 8, 8, generator=torch_generator("few"))
    train = partial(
        adagen.train,
        tiny_generator("sit"),
        (images, torch.arange(50) % 10),
        reward=CONVOLUTION,
        method="static",
        progress=False,
        updates=1,
        trajectories=16,
    )
    sampler = train()
    assert "no validation, and the last policy is kept" in capsys.readouterr().err
    assert "validation_fid" not in sampler.log.columns
    with pytest.raises(AdagenError, match=r"polish is given, but a distance takes .* held-out"):
        train(polish={})


@pytest.mark.parametrize("kind", ["gaussian", "frechet"])
def test_too_few_images_for_the_components_are_named_before_anything_is_fitted(
    monkeypatch, tiny_generator, kind
):
    def fit(*arguments, **settings):
        raise AssertionError("fitted")

    monkeypatch.setattr(from_data, "fit_reward_features", fit)
    images = torch.rand(50, 1, 8, 8, generator=torch_generator("few"))
    with pytest.raises(AdagenError, match=f"'{kind}' has components .* 40 images .* 39 at most"):
        adagen.train(tiny_generator("sit"), (images, torch.arange(50) % 10), reward=kind, updates=1)
