"""A killed training ends as an uninterrupted one: with a real generator and discriminator."""

from contextlib import contextmanager

import pytest
import torch

from adagen.config import (
    ConvolutionSettings,
    DinoFeatures,
    Fit,
    FrechetSettings,
    GaussianSettings,
    PolicySettings,
    RewardFeatures,
    TokenSettings,
    Training,
    Transformer,
)
from adagen.data.split import Images
from adagen.generators.conditions import ClassConditions
from adagen.rewards.convolution import ConvolutionReward
from adagen.rewards.dino import Dino
from adagen.rewards.features import MaskedAutoencoder
from adagen.rewards.frechet import FrechetReward
from adagen.rewards.gaussian import GaussianReward
from adagen.rewards.projected import ProjectedReward
from adagen.rewards.tokens import AutoencoderReward
from adagen.runtime.errors import AdagenError
from adagen.runtime.noise import seeded, torch_generator
from adagen.training.log import Validation
from adagen.training.loop import PolicyTraining, TrainingParts
from adagen.training.run import build_networks

# Every kind of reward trains whole once, and killed and resumed three times.
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("resumes")]

SIZE = PolicySettings(hidden=16, pointwise=8, first=16, second=16)
REWARD = RewardFeatures(network=Transformer(width=8, depth=2, heads=2), fit=Fit(updates=1))
# Images of 8x8 are larger than 4x4: batches are cropped, or not, as is drawn.
DINO = DinoFeatures(
    kind="dino",
    network=Transformer(width=8, depth=2, heads=2),
    patch=2,
    image=4,
    blocks=(0, 1),
)
SETTINGS = Training(
    updates=4,
    trajectories=32,
    group=8,
    epochs=2,
    validate_every=2,
    learning_rate=1e-2,
    static_learning_rate=1e-2,
    table_learning_rate=0.0,
    reward=TokenSettings(kind="tokens", channels=8, batch=16, steps=2, warmup=3),
)
REAL = Images(torch.rand(40, 1, 8, 8, generator=torch_generator("real")), torch.arange(40) % 10)


CHANGES = {
    "gaussian": {
        "table_learning_rate": 5e-2,
        "reward": GaussianSettings(components=8, pixel_noise=0.1),
    },
    "convolution": {
        "reward": ConvolutionSettings(
            kind="convolution", channels=8, r1=0.1, batch=16, steps=2, warmup=3
        ),
    },
    "frechet": {"reward": FrechetSettings(kind="frechet", components=8)},
}
"""What each kind of reward needs, everything that draws or remembers switched on."""


def no_validation(policy):
    return Validation(
        fid=1.0, fid_label_free=2.0, recall=None, spread={"time": 0.1, "guidance": 0.1}
    )


class Killed(Exception):
    """Stands for a kill."""


def real_training(generator, method: str, kind: str = "own", **changes) -> PolicyTraining:
    settings = SETTINGS.model_copy(update=changes)
    with seeded("real", method):
        actor, critic = build_networks(method, generator, policy=SIZE, training=settings)
        features = Dino(DINO) if kind == "dino" else MaskedAutoencoder(REWARD, (1, 8, 8))
        frozen, chosen = features.eval().requires_grad_(False), settings.reward
        if kind in ("gaussian", "frechet"):
            make = GaussianReward if kind == "gaussian" else FrechetReward
            reward = make(frozen, chosen, real=REAL, device=generator.device)
        elif kind == "convolution":
            reward = ConvolutionReward(
                (1, 8, 8), ClassConditions(10), settings=chosen, device=generator.device
            )
        else:
            make = ProjectedReward if kind == "dino" else AutoencoderReward
            reward = make(frozen, ClassConditions(10), settings=chosen, device=generator.device)
    parts = TrainingParts(
        generator=generator, actor=actor, critic=critic, reward=reward, train=REAL, heldout=REAL
    )
    return PolicyTraining(parts, settings, seed=0)


def without_time(records):
    return [{k: v for k, v in record.items() if k != "seconds"} for record in records]


def flat(tree):
    """The leaves of a state, by path."""
    if not isinstance(tree, dict | list):
        return {"": tree}
    items = tree.items() if isinstance(tree, dict) else enumerate(tree)
    return {f"{k}/{path}": leaf for k, inner in items for path, leaf in flat(inner).items()}


def ended(run, records):
    """What a run came to: its records but for times, and the leaves of its state."""
    return without_time(records), flat({**run.state_dict(), "records": []})


UNINTERRUPTED = {}
"""What `uninterrupted` has found in this session, by method and kind of reward."""


def uninterrupted(generator, method, kind):
    """How a training ends that nobody kills: it is run once, and compared with every kill."""
    if (method, kind) not in UNINTERRUPTED:
        whole = real_training(generator, method, kind, **CHANGES.get(kind, {}))
        records = whole.run("real", no_validation, checkpoint=None)
        UNINTERRUPTED[method, kind] = ended(whole, records)
    return UNINTERRUPTED[method, kind]


@pytest.mark.parametrize(
    ("method", "kind"),
    [
        ("static", "own"),
        ("adagen", "own"),
        ("static", "dino"),
        ("adagen", "gaussian"),
        ("static", "convolution"),
        ("static", "frechet"),
    ],
)
@pytest.mark.parametrize("kill", ["in the 1st update", "in the 3rd update", "while validating"])
def test_killed_and_resumed_equals_uninterrupted_to_the_bit(
    tmp_path, tiny_generator, method, kind, kill
):
    checkpoint = tmp_path / "training.ckpt"
    generator, changes = tiny_generator("sit"), CHANGES.get(kind, {})
    killed = real_training(generator, method, kind, **changes)
    learn, steps = killed.reward.learn, iter(range(100))

    def dies(*arguments, **keywords):
        if next(steps) == {"in the 1st update": 1, "in the 3rd update": 3}.get(kill):
            raise Killed
        return learn(*arguments, **keywords)

    def validate(policy):
        if kill == "while validating":
            raise Killed
        return no_validation(policy)

    killed.reward.learn = dies
    with pytest.raises(Killed):
        killed.run("real", validate, checkpoint=checkpoint)

    resumed = real_training(generator, method, kind, **changes)
    records = resumed.run("real", no_validation, checkpoint=checkpoint)
    expected, wanted = uninterrupted(generator, method, kind)
    found, state = ended(resumed, records)
    assert len(found) == 4 and found == expected
    assert state.keys() == wanted.keys() and len(state) > 20
    for path, leaf in wanted.items():
        same = torch.equal(state[path], leaf) if torch.is_tensor(leaf) else state[path] == leaf
        assert same, path

    # Run once more, the finished run has nothing left to do.
    again = real_training(generator, method, kind, **changes)
    assert without_time(again.run("real", None, checkpoint=checkpoint)) == expected


def test_who_follows_a_resumed_run_is_told_where_it_goes_on(tmp_path, tiny_generator):
    checkpoint, told = tmp_path / "training.ckpt", []

    @contextmanager
    def track(done):
        told.append(f"after {done}")
        yield lambda record: told.append(record["update"])
        told.append("finished")

    measured = []

    def dies(policy):
        if measured:
            raise Killed  # in the second update, before it is kept
        measured.append(policy)
        return no_validation(policy)  # of the start

    with pytest.raises(Killed):
        real_training(tiny_generator("sit"), "static").run(
            "real", dies, checkpoint=checkpoint, track=track
        )
    run = real_training(tiny_generator("sit"), "static")
    run.run("real", no_validation, checkpoint=checkpoint, track=track)
    assert told == ["after 0", 1, "after 1", 2, 3, 4, "finished"]


def test_a_checkpoint_of_another_training_is_refused(tmp_path, tiny_generator):
    checkpoint = tmp_path / "training.ckpt"
    real_training(tiny_generator("sit"), "static").run("real", no_validation, checkpoint=checkpoint)
    with pytest.raises(AdagenError, match=r"training\.ckpt was written by another run"):
        real_training(tiny_generator("sit"), "static").run(
            "other", no_validation, checkpoint=checkpoint
        )


def test_the_warm_up_teaches_the_discriminator_before_anyone_is_paid(tiny_generator):
    run = real_training(tiny_generator("sit"), "static")
    before = {k: v.clone() for k, v in run.reward.heads.state_dict().items()}
    actor = run.actor.table.detach().clone()
    run.warm_up()
    assert any(not torch.equal(before[k], v) for k, v in run.reward.heads.state_dict().items())
    assert torch.equal(run.actor.table, actor)


def test_seeds_make_different_trainings(tiny_generator):
    tables = []
    for seed in (0, 0, 1):
        run = real_training(tiny_generator("sit"), "static")
        run.seed = seed
        run.run("real", no_validation, checkpoint=None)
        tables.append(run.actor.table.detach())
    assert torch.equal(tables[0], tables[1]) and not torch.equal(tables[0], tables[2])


def test_the_paper_s_reward_does_not_depend_on_the_batch_of_generation(tiny_generator):
    """Though it normalises eight images together, and crops batches as a whole."""
    paid = []
    for batch in (32, 12, 5):
        run = real_training(tiny_generator("sit"), "static", "dino", batch=batch)
        run.warm_up()
        paid.append([run.update(n) for n in range(2)])
    for records in paid[1:]:
        for record, expected in zip(records, paid[0], strict=True):
            for key in ("reward", "reward_std", "loss_discriminator", "accuracy_real"):
                assert record[key] == pytest.approx(expected[key], abs=1e-4), key


def test_trajectories_that_leave_some_alone_are_refused(tiny_generator):
    with pytest.raises(AdagenError, match=r"training\.trajectories: 36, .* a multiple of 8"):
        real_training(tiny_generator("sit"), "static", "dino", trajectories=36, group=4)
