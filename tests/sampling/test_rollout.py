"""The loop, with all four families: what the policy is shown, and what becomes of its actions."""

import math

import pytest
import torch
from torch import nn

from adagen import config
from adagen.generators.base import every_pass
from adagen.generators.conditions import ClassConditions
from adagen.generators.diffusion import DiffusionBackbone
from adagen.generators.flow import FlowBackbone
from adagen.generators.solver import SolverGenerator
from adagen.networks.dit import DiT
from adagen.policy.baselines import guidance_interval
from adagen.policy.networks import ConstantTable, HandMade
from adagen.runtime.errors import AdagenError
from adagen.runtime.noise import SampleNoise
from adagen.sampling.rollout import rollout

LABELS = torch.tensor([0, 3, 3, 9, 5])
SOLVERS = {"dit": DiffusionBackbone, "sit": FlowBackbone}


def noise(seed: int = 0) -> SampleNoise:
    return SampleNoise("test", seed, range(len(LABELS)))


class Spy:
    """A policy that remembers what it was shown."""

    def __init__(self, policy) -> None:
        self.policy, self.features, self.calls = policy, [], []

    def __call__(self, features, call):
        self.features.append(features)
        self.calls.append(call)
        return self.policy(features, call)


def test_what_the_policy_is_shown(family, tiny_generator):
    generator = tiny_generator(family)
    spy = Spy(HandMade(len(generator.actions.names)))
    images = rollout(generator, spy, labels=LABELS, noise=noise())
    assert images.shape == (5, 1, 8, 8) and images.dtype == torch.float32
    assert torch.isfinite(images).all() and images.min() >= 0 and images.max() <= 1
    assert generator.actions.calls == (5 if family in SOLVERS else 4)
    assert [call.tolist() for call in spy.calls] == [[t] * 5 for t in range(len(spy.calls))]
    assert len(spy.calls) == generator.actions.calls
    positions = generator.grid[0] * generator.grid[1]
    for t, features in enumerate(spy.features):
        assert features.shape == (5, positions, generator.feature_width)
        # Pure noise at no time has not been looked at by DiT and SiT; all else has.
        assert (features.abs().max() == 0) == (family in SOLVERS and t == 0)
    # The state moves on, and what the policy sees moves with it.
    assert not any(torch.equal(a, b) for a, b in zip(spy.features, spy.features[1:], strict=False))


@pytest.mark.parametrize("what", ["state", "nothing"])
def test_other_things_to_see_change_the_policy_alone(family, tiny_generator, what):
    generator, plain = tiny_generator(family, policy={"input": what}), tiny_generator(family)
    spies = [Spy(HandMade(len(generator.actions.names))) for _ in range(2)]
    images = rollout(generator, spies[0], labels=LABELS, noise=noise())
    assert torch.equal(images, rollout(plain, spies[1], labels=LABELS, noise=noise()))
    positions = generator.grid[0] * generator.grid[1]
    for t, seen in enumerate(spies[0].features):
        assert seen.shape == (5, positions, generator.seen_width) and seen.dtype == torch.float32
        # Before the first step VAR has drawn nothing.
        empty = what == "nothing" or (family == "var" and t == 0)
        assert (seen.abs().max() == 0) == empty


def test_the_raw_state_is_what_images_are_decoded_from(family, tiny_generator):
    generator = tiny_generator(family)
    state = generator.start(LABELS, noise())
    for row in generator.actions.handmade[:2]:
        state = generator.step(state, row.expand(5, -1))
    raw = generator.raw(state)
    if family == "maskgit":
        vectors, masked = raw[:, :, :-1], raw[:, :, -1:]
        codes = generator.backbone.tokeniser.prototypes
        known = torch.cdist(vectors, codes).argmin(-1)
        assert torch.equal(masked.squeeze(2) == 1, state.ids == codes.shape[0])
        assert vectors[masked.expand_as(vectors) == 1].abs().max() == 0
        assert torch.equal(known[state.ids < codes.shape[0]], state.ids[state.ids < codes.shape[0]])
    elif family == "var":
        assert torch.equal(raw.mT.unflatten(2, generator.grid), state.f_hat)
    else:
        again = nn.functional.pixel_shuffle(raw.mT.unflatten(2, generator.grid), generator.patch)
        assert torch.equal(generator.backbone.decode(again), generator.decode(state))


def test_features_are_those_of_the_conditional_pass(family, tiny_generator):
    """The class shows in them from the first look on, and another sample's class does not."""
    generator, other = tiny_generator(family), LABELS.clone()
    other[0] = 7
    shown = []
    for labels in (LABELS, other):
        shown.append(Spy(HandMade(len(generator.actions.names))))
        rollout(generator, shown[-1], labels=labels, noise=noise())
    first = 1 if family in SOLVERS else 0
    a, b = (spy.features[first] for spy in shown)
    assert not torch.allclose(a[0], b[0], atol=1e-3)
    assert torch.allclose(a[1:], b[1:], atol=1e-5)


def test_actions_are_the_smoothed_squashed_outputs(family, tiny_generator):
    generator = tiny_generator(family, smoothing=0.4)
    actions = generator.actions
    torch.manual_seed(0)
    table = ConstantTable(actions.calls, len(actions.names))
    nn.init.normal_(table.table)
    seen = []
    rollout(
        generator,
        table,
        labels=LABELS,
        noise=noise(),
        watch=lambda t, f, action: seen.append(action),
    )
    z = None
    for t in range(actions.calls):
        target = table.table[t] + actions.residual[t]
        z = target if z is None else 0.4 * z + 0.6 * target
        expected = actions.squash(z).expand(5, -1)
        assert torch.allclose(seen[t], expected, atol=1e-5)


def test_every_action_matters(family, tiny_generator):
    """A change of any column changes the images."""
    generator = tiny_generator(family)
    actions = generator.actions
    hand_made = rollout(generator, HandMade(len(actions.names)), labels=LABELS, noise=noise())
    for k, name in enumerate(actions.names):
        table = ConstantTable(actions.calls, len(actions.names))
        table.table.data[:, k] = -3.0 if name in ("top_k", "top_p", "ratio") else 3.0
        images = rollout(generator, table, labels=LABELS, noise=noise())
        assert not torch.allclose(images, hand_made, atol=1e-3), name


def test_the_cost_is_what_the_generator_says(family, tiny_generator):
    """Evaluations are those of a sample that is made alone: a doubled batch is two."""
    generator = tiny_generator(family)
    network = generator.backbone.network
    rows = []
    if family == "var":
        advance = network.advance

        def counted(state, maps=None):
            rows.append(len(state.condition))
            return advance(state, maps)

        network.advance = counted
    else:
        network.register_forward_hook(lambda module, inputs, output: rows.append(len(inputs[0])))
    policy, alone = HandMade(len(generator.actions.names)), SampleNoise("test", 0, [0])
    rollout(generator, policy, labels=LABELS[:1], noise=alone)
    assert sum(rows) == generator.nfe
    # Made together, samples of MaskGIT share the passes that see no token: one a class.
    rows.clear()
    rollout(generator, policy, labels=LABELS, noise=noise())
    shared = 2 * len(LABELS) - len(LABELS.unique()) - 1 if family == "maskgit" else 0
    assert sum(rows) == generator.nfe * len(LABELS) - shared


def test_nothing_is_differentiated(family, tiny_generator):
    generator = tiny_generator(family)
    table = ConstantTable(generator.actions.calls, len(generator.actions.names))
    assert not rollout(generator, table, labels=LABELS, noise=noise()).requires_grad


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_an_action_that_is_not_finite_is_named(family, tiny_generator, value):
    generator = tiny_generator(family)
    actions = generator.actions
    table = ConstantTable(actions.calls, len(actions.names))
    table.table.data[2, -1] = value
    with pytest.raises(AdagenError) as caught:
        rollout(generator, table, labels=LABELS, noise=noise(seed=4))
    for part in (actions.names[-1], "call 2", "sample 0", "seed 4"):
        assert part in str(caught.value)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_logits_that_are_not_finite_are_named(tiny_generator, value):
    """Nothing of what such logits lead to ends the rollout before."""
    for family in ("maskgit", "var"):
        generator = tiny_generator(family)
        head = generator.backbone.network.mlm_layer if family == "maskgit" else None
        bias = head.bias if head else generator.backbone.network.head.bias
        bias.data.fill_(value)
        with pytest.raises(AdagenError, match=r"logits of sample 0 \(test, seed 0\) .* at call 0"):
            rollout(generator, HandMade(len(generator.actions.names)), labels=LABELS, noise=noise())


class Oracle(DiT):
    """In place of a DiT: the exact output for Gaussian data of known mean, one of each class.

    The data of class y are N(mean[y], spread^2) in every pixel.
    """

    def __init__(self, backbone, means: list[float], spread: float) -> None:
        super().__init__(
            8, 2, channels=1, classes=len(means) - 1, width=4, depth=1, heads=1, learn_sigma=False
        )
        self.schedule, self.spread = backbone.schedule, spread
        self.means = torch.tensor(means)

    def forward(self, x, time, labels):
        tau = (time / 1000 if isinstance(self.schedule, DiffusionBackbone.schedule.__class__)
               else time).view(-1, 1, 1, 1)  # fmt: skip
        alpha, sigma = self.schedule.alpha_sigma(tau)
        mean = self.means[labels].view(-1, 1, 1, 1)
        variance = alpha**2 * self.spread**2 + sigma**2
        expected = sigma * (x - alpha * mean) / variance  # E[noise | x]
        if isinstance(self.schedule, FlowBackbone.schedule.__class__):
            expected = (x - expected) / tau  # velocity = data - noise
        return expected, x.new_zeros(len(x), self.grid**2, self.width)


def oracle(family: str, steps: int, guidance: float, means: list[float], spread: float):
    kind = SOLVERS[family]
    network = Oracle(kind, means, spread)
    classes = ClassConditions(len(means) - 1)
    backbone = kind(network, (1, 8, 8), conditions=classes, dropout=0.0)
    return SolverGenerator(
        backbone, steps, handmade=config.Handmade(guidance=guidance), smoothing=0.0
    )


@pytest.mark.parametrize("family", SOLVERS)
@pytest.mark.parametrize("guidance", [0.0, 1.0, 1.5])
def test_data_of_one_image_a_class_come_out_exactly(family, guidance):
    """With x0 known to the network, any number of steps is exact: x = a x0 + b z.

    Guidance acts on x0 as well: it comes out as c + w (c - u).
    """
    means, labels = [0.1, -0.2, 0.3, 0.05], torch.tensor([0, 1, 2, 2, 1])  # the last has no class
    generator = oracle(family, 4, guidance, means, spread=0.0)
    images = rollout(generator, HandMade(2), labels=labels, noise=noise())
    c, u = torch.tensor(means)[labels], means[-1]
    x0 = (c + guidance * (c - u)).view(-1, 1, 1, 1)
    (alpha_s, sigma_s), (alpha_t, sigma_t) = (
        generator.schedule.alpha_sigma(torch.tensor(tau))
        for tau in (generator.schedule.first, generator.schedule.last)
    )
    z = noise().normal("start", 1, 8, 8)
    x = sigma_t / sigma_s * z + (alpha_t - sigma_t * alpha_s / sigma_s) * x0
    assert torch.allclose(images, ((x + 1) / 2).clamp(0, 1), atol=2e-5)


@pytest.mark.parametrize("family", SOLVERS)
def test_many_steps_follow_the_known_flow_of_gaussian_data(family):
    """(x - alpha m) / sqrt(alpha^2 s^2 + sigma^2) stays what it was at the first time."""
    mean, spread, labels = 0.2, 0.3, torch.zeros(5, dtype=torch.int64)

    def at(schedule, tau):
        alpha, sigma = schedule.alpha_sigma(torch.tensor(tau, dtype=torch.float64))
        return alpha * mean, (alpha**2 * spread**2 + sigma**2).sqrt()

    errors = []
    for steps in (4, 64):
        generator = oracle(family, steps, 0.0, [mean, mean], spread)
        schedule, z = generator.schedule, noise().normal("start", 1, 8, 8)
        (m_s, d_s), (m_t, d_t) = at(schedule, schedule.first), at(schedule, schedule.last)
        exact = (m_t + d_t * (z - m_s) / d_s + 1) / 2
        images = rollout(generator, HandMade(2), labels=labels, noise=noise())
        errors.append(float((images - exact.clamp(0, 1)).abs().max()))
    assert errors[1] < 0.01 < 2 * errors[1] + 0.01 < errors[0]


@pytest.mark.parametrize("label", [-1, 10])
def test_labels_out_of_range_are_told(label, tiny_generator):
    """The null class, 10, is the generator's own business."""
    generator = tiny_generator("sit")
    labels = torch.tensor([0, 3, label, 9, 5])
    with pytest.raises(AdagenError, match=rf"label {label} is out of range: .* 0 to 9"):
        rollout(generator, HandMade(len(generator.actions.names)), labels=labels, noise=noise())


@pytest.mark.parametrize("family", ["maskgit", *SOLVERS])
def test_two_passes_as_one_batch_make_the_same_images(family, tiny_generator):
    """As a GPU makes them; here on the CPU."""
    generator = tiny_generator(family)
    policy = HandMade(len(generator.actions.names))
    halves = rollout(generator, policy, labels=LABELS, noise=noise())
    generator.joined = True
    assert torch.allclose(
        rollout(generator, policy, labels=LABELS, noise=noise()), halves, atol=1e-5
    )


@pytest.mark.parametrize("family", ["maskgit", *SOLVERS])
def test_a_pass_that_guidance_does_not_need_is_left_out(family, tiny_generator):
    """Its images are those of a batch that needs it; costs are counted with it."""
    generator = tiny_generator(family)
    network, rows, one = generator.backbone.network, [], SampleNoise("test", 0, [0])
    network.register_forward_hook(lambda module, inputs, output: rows.append(len(inputs[0])))
    actions = generator.actions
    table = guidance_interval(actions, first=1, last=1, strength=1.0)

    def mixed(features, call):
        """The first sample under the interval, the others guided at every call."""
        raw = table(features, call)
        raw[1:, actions.names.index("guidance")] += 20 * (call[1:] != 1)
        return raw

    images = rollout(generator, table, labels=LABELS[:1], noise=one)
    left_out = {"maskgit": 2, "dit": 3, "sit": 3}[family]
    assert sum(rows) == generator.nfe - left_out
    together = rollout(generator, mixed, labels=LABELS, noise=noise())
    assert torch.allclose(images[0], together[0], atol=1e-5)
    rows.clear()
    with every_pass():
        rollout(generator, table, labels=LABELS[:1], noise=one)
    assert sum(rows) == generator.nfe
