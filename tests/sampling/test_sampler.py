"""The sampler: labels, blends, the best of several, and what its samples say and write."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from policies import SIZE, random_policy
from torchvision.transforms.functional import pil_to_tensor

from adagen.config import PolicySettings
from adagen.policy.files import PolicyFile, build_actor, build_critic
from adagen.policy.networks import ConstantTable, HandMade
from adagen.runtime.errors import AdagenError
from adagen.sampling.sampler import Sampler


@pytest.fixture
def sampler(tiny_generator) -> Sampler:
    generator = tiny_generator("maskgit")
    return Sampler(generator, random_policy(generator), batch=4)


def brightness(images, labels):
    return images.mean((1, 2, 3))


def test_labels_are_one_class_or_many_or_go_round(sampler):
    assert sampler(3, n=5).labels.tolist() == [3] * 5
    assert sampler(3).labels.tolist() == [3]
    for labels in ([1, 9, 1], torch.tensor([1, 9, 1]), (1, 9, 1)):
        assert sampler(labels).labels.tolist() == [1, 9, 1]
    assert sampler(n=12).labels.tolist() == [*range(10), 0, 1]
    assert sampler().labels.tolist() == [*range(10)]


@pytest.mark.parametrize(
    ("labels", "n", "told"),
    [
        ([1, 2], 3, r"shape \(2,\) where one class or 3 of them"),
        ([], None, "one class or more"),
        (10, 2, "label 10 is out of range"),
        (3, 0, "n is 0"),
        (3, 2.5, r"n is 2\.5"),
        ([1.0, 2.0], None, r"labels are \[1\.0, 2\.0\], but classes are whole numbers"),
        ("three", None, "labels are 'three'"),
        (True, None, "labels are True"),
    ],
)
def test_labels_that_fit_no_sample_are_refused(sampler, labels, n, told):
    with pytest.raises(AdagenError, match=told):
        sampler(labels, n=n)


@pytest.mark.parametrize("seed", ["a", "1", 1.0, True, -1, None])
def test_a_seed_that_would_draw_noise_of_its_own_in_silence_is_refused(sampler, seed):
    with pytest.raises(AdagenError, match=f"seed is {seed!r}, but a whole number, 0 or more"):
        sampler(n=2, seed=seed)


def test_whole_numbers_of_any_kind_are_the_same_seed(sampler):
    images = sampler(n=2, seed=1).images
    for seed in (torch.tensor(1), np.int64(1)):
        assert images.equal(sampler(n=2, seed=seed).images)


def test_the_same_seed_gives_the_same_images_in_any_batch(sampler):
    samples = sampler(n=9)
    again = Sampler(sampler.generator, sampler.policy, batch=2)(n=9)
    assert samples.images.equal(again.images)  # tokens hide what batches round
    assert samples.images.shape == (9, 1, 8, 8) and len(samples) == 9
    assert samples.actions.shape == (4, 9, 4)
    assert not samples.images.equal(sampler(n=9, seed=1).images)
    # A sample's image follows from its index and class, whatever else is made.
    assert samples.images[:3].equal(sampler(n=3).images)


def test_a_policy_that_changes_between_two_batches_does_not_mix(sampler):
    """All batches are of the policy that made the first, and the next call sees the new one."""
    before, labels = sampler(n=9), torch.arange(9)
    batches = sampler.batches(labels)
    first = next(batches)[0]
    for parameter in sampler.policy.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    images = torch.cat([first, *(images for images, _ in batches)])
    assert images.equal(before.images)
    assert not sampler(n=9).images.equal(images)


def test_networks_compute_what_follows_from_the_call_once(sampler, monkeypatch):
    calls, embed = [], type(sampler.policy.t_embedder).forward
    monkeypatch.setattr(
        type(sampler.policy.t_embedder),
        "forward",
        lambda self, call: calls.append(call) or embed(self, call),
    )
    sampler(n=9)  # three batches
    assert [call.tolist() for call in calls] == [[0], [1], [2], [3]]


def test_the_schedule_is_the_distribution_of_the_actions(sampler):
    samples = sampler(n=20)
    table = samples.schedule().set_index(["action", "step"])
    guidance = samples.actions[2, :, samples.action_names.index("guidance")].double()
    row = table.loc[("guidance", 2)]
    assert len(table) == 4 * 4 and row["count"] == 20
    assert row["mean"] == pytest.approx(guidance.mean().item())
    assert row["q95"] == pytest.approx(guidance.quantile(0.95).item())
    handmade = Sampler(sampler.generator, HandMade(4))(n=2).schedule()
    assert handmade["mean"].to_numpy() == pytest.approx(handmade["handmade"].to_numpy(), abs=1e-4)


def test_the_picture_holds_the_images_row_by_row(sampler, tmp_path):
    samples = sampler(n=6)
    samples.save(str(tmp_path / "grid.png"), columns=3)
    with Image.open(tmp_path / "grid.png") as picture:
        assert picture.size == (3 * 9 + 1, 2 * 9 + 1)  # with a pixel between any two
        fifth = pil_to_tensor(picture.convert("L").crop((10, 10, 18, 18)))
    assert fifth[0].float() / 255 == pytest.approx(samples.images[4, 0], abs=1 / 255)


def test_a_blend_goes_from_one_policy_to_the_other(sampler):
    other = Sampler(sampler.generator, random_policy(sampler.generator, seed=1), batch=4)
    ends = [sampler.blend(other, fidelity)(n=4).actions for fidelity in (0, 1)]
    assert ends[0].equal(sampler(n=4).actions) and ends[1].equal(other(n=4).actions)
    with pytest.raises(AdagenError, match=r"fidelity is 1\.5"):
        sampler.blend(other, 1.5)


def test_a_blend_has_no_file(sampler, tmp_path):
    file = PolicyFile({"method": "adagen"}, build_critic(sampler.generator, SIZE))
    trained = replace(sampler, policy_file=file)
    blended = trained.blend(Sampler(sampler.generator, HandMade(4)), 0.5)
    with pytest.raises(AdagenError, match="is not written"):
        blended.save(tmp_path / "policy.safetensors")
    with pytest.raises(AdagenError, match="this sampler's policy has none"):
        blended.look_ahead(2)
    with pytest.raises(AdagenError, match="not loaded from a policy file"):
        blended.best_of(2, "reward.safetensors")
    for choosing in (trained.look_ahead(2), sampler.best_of(2, brightness)):
        with pytest.raises(AdagenError, match="chooses among candidates"):
            sampler.blend(choosing, 0.5)
    with pytest.raises(AdagenError, match="can't be blended in: give a sampler"):
        sampler.blend("policy.safetensors", 0.5)


def test_generators_without_a_file_are_the_same_only_as_one_object(sampler, tiny_generator):
    twin = tiny_generator("maskgit")
    assert twin.hash == "" and twin is not sampler.generator
    with pytest.raises(AdagenError, match="load both with the same generator file"):
        sampler.blend(Sampler(twin, HandMade(4)), 0.5)


def test_the_handmade_schedule_of_a_policy_keeps_the_settings(tiny_generator):
    generator = tiny_generator("maskgit", handmade={"guidance": 1.5})
    sampler = Sampler(generator, random_policy(generator), batch=4, policy_file=PolicyFile({}))
    plain = sampler.best_of(2, brightness).handmade()
    assert plain.policy_file is None and plain.batch == 4 and plain.nfe == sampler.nfe
    samples = plain(n=4)
    assert samples.images.equal(Sampler(generator, HandMade(4))(n=4).images)
    assert not samples.images.equal(sampler(n=4).images)


def test_one_line_says_what_it_is(sampler):
    names = "actions ratio, confidence_temperature, sampling_temperature, guidance"
    assert repr(sampler) == f"Sampler(MaskgitGenerator, PolicyNetwork, T = 4, {names})"
    assert repr(sampler.best_of(2, brightness)).endswith("guidance, best of 2)")
    assert repr(sampler(n=3)) == f"GeneratedSamples(3 images of 1x8x8, 4 policy calls, {names})"


def test_the_bar_can_be_hidden(sampler, capsys):
    sampler(n=2, progress=False)
    assert capsys.readouterr().err == ""
    sampler(n=2)
    assert "sampling" in capsys.readouterr().err


def test_policies_of_other_generators_are_not_blended(sampler, tiny_generator):
    longer = tiny_generator("maskgit", steps=6)
    other = Sampler(longer, random_policy(longer))
    with pytest.raises(AdagenError, match="load both with the same generator file"):
        sampler.blend(other, 0.5)


def test_the_best_of_several_is_the_brightest_of_them(sampler):
    best = sampler.best_of(4, brightness)
    assert best.nfe == 4 * sampler.nfe
    found, plain, two = best(n=8), sampler(n=8), sampler.best_of(2, brightness)(n=8)
    bright = [brightness(s.images, s.labels) for s in (plain, two, found)]
    assert (bright[0] <= bright[1]).all() and (bright[1] <= bright[2]).all()
    assert (bright[0] < bright[2]).any()
    assert sampler.best_of(1, brightness)(n=8).images.equal(plain.images)


def test_a_score_of_another_shape_or_a_second_choice_is_refused(sampler):
    with pytest.raises(AdagenError, match=r"shape \(\), but \(4,\) was expected"):
        sampler.best_of(2, lambda images, labels: images.mean())(n=4)
    with pytest.raises(AdagenError, match="already the best of several"):
        sampler.best_of(2, brightness).best_of(2, brightness)
    with pytest.raises(AdagenError, match="n is 0"):
        sampler.best_of(0, brightness)
    with pytest.raises(AdagenError, match="score of 4 images is None"):
        sampler.best_of(2, lambda images, labels: None)(n=4)
    with pytest.raises(AdagenError, match=r"of torch\.bool, which has no order to choose by"):
        sampler.best_of(2, lambda images, labels: labels > 3)(n=4)
    with pytest.raises(AdagenError, match="score is 3, which scores no images"):
        sampler.best_of(2, 3)


def test_looking_ahead_takes_a_value_network(sampler):
    with pytest.raises(AdagenError, match="this sampler's policy has none"):
        sampler.look_ahead(2)
    critic = build_critic(sampler.generator, SIZE)
    ahead = Sampler(sampler.generator, sampler.policy, policy_file=PolicyFile({}, critic))
    assert ahead.look_ahead(3).nfe > sampler.nfe
    with pytest.raises(AdagenError, match="looks ahead to 3 states already"):
        ahead.look_ahead(3).look_ahead(2)
    with pytest.raises(AdagenError, match="k is 0"):
        ahead.look_ahead(0)


def test_a_picture_needs_a_known_suffix_and_a_column(sampler, tmp_path):
    samples = sampler(n=1)
    with pytest.raises(AdagenError, match=r"has the suffix '\.docx'"):
        samples.save(tmp_path / "grid.docx")
    with pytest.raises(AdagenError, match="columns is 0"):
        samples.save(tmp_path / "grid.png", columns=0)


def test_only_a_policy_can_be_saved(sampler, tmp_path):
    with pytest.raises(AdagenError, match="is not written"):
        sampler.save(tmp_path / "policy.safetensors")


def test_a_solver_is_called_once_more_than_it_has_steps(tiny_generator):
    generator = tiny_generator("sit")
    told = repr(Sampler(generator, HandMade(2)))
    assert (
        told == "Sampler(SolverGenerator, HandMade, T = 4, 5 policy calls, actions time, guidance)"
    )


@pytest.mark.parametrize("shape", [(4, 2), (5, 3), (2, 5)])
def test_a_table_of_another_size_is_refused(tiny_generator, shape):
    generator = tiny_generator("sit")
    told = rf"of {shape[0]} calls and {shape[1]} actions, .* called 5 times, for time, guidance"
    with pytest.raises(AdagenError, match=told):
        Sampler(generator, ConstantTable(*shape))
    network = build_actor(
        "adagen", generator, settings=PolicySettings(), tabled=True, conditioned=False
    )
    network.table = ConstantTable(*shape)
    with pytest.raises(AdagenError, match=told):
        Sampler(generator, network)
