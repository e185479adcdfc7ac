"""The reward on DINO: who is judged with whom, what is drawn when, and what it learns."""

import copy

import pytest
import torch

from adagen.config import DinoFeatures
from adagen.data.split import Images
from adagen.rewards.projected import ProjectedReward
from adagen.runtime.errors import AdagenError
from adagen.runtime.noise import torch_generator


def draw(*name: object) -> torch.Generator:
    return torch_generator("projected test", *name)


def uniform(n: int, *name: object, side: int = 16) -> torch.Tensor:
    return torch.rand(n, 3, side, side, generator=draw(*name))


def labelled(images: torch.Tensor) -> Images:
    return Images(images, torch.arange(len(images)) % 3)


def judge(reward: ProjectedReward, images: Images, *source: object) -> torch.Tensor:
    return reward.score_pool(reward.pool(images), torch.arange(len(images)), *(source or ("test",)))


# Judging


def test_images_far_apart_are_judged_together(projected):
    """Of 32 images in companies of 8, image i has those 4, 8, 12 ... places on as its company."""
    reward, images = projected(), labelled(uniform(32))
    judged = judge(reward, images)
    for first in range(4):
        rows = torch.arange(first, 32, 4)
        with torch.no_grad():
            maps = reward.features(images.images[rows], None)
            alone = reward.heads.eval()(maps, images.labels[rows]).mean(1)
        assert torch.allclose(judged[rows], alone, atol=1e-5)


def test_company_matters_and_the_size_of_chunks_does_not(projected):
    """Where no image is larger than DINO's, nothing is drawn, and chunks are memory alone."""
    images = labelled(uniform(32))
    judged = [judge(projected(batch=batch), images) for batch in (8, 16, 32)]
    assert torch.allclose(judged[0], judged[1], atol=1e-5)
    assert torch.allclose(judged[0], judged[2], atol=1e-5)
    other = labelled(torch.cat([images.images[:31], 3 * uniform(1, "other")]))
    changed = (judge(projected(), other) - judged[0]).abs() > 1e-4
    assert changed.nonzero().flatten().tolist() == list(range(3, 32, 4))


def test_neighbours_share_their_crop_and_chunks_draw_their_own(projected):
    """Trajectories of one group stand side by side, and are compared with each other."""
    reward, seen = projected(batch=16), []
    images = labelled(uniform(1, side=40).expand(64, -1, -1, -1))
    pool = reward.pool(images)
    extract = pool.extractor
    pool.extractor = lambda batch, generator: seen.append(extract(batch, generator)) or seen[-1]
    reward.score_pool(pool, torch.arange(64), "crop", 0, 1)
    assert [len(maps) for maps in seen] == [16] * 4
    assert all(torch.allclose(maps[0], other, atol=1e-5) for maps in seen for other in maps)
    assert not all(torch.allclose(seen[0], maps, atol=1e-2) for maps in seen)
    # Chunk 0 holds images 0 and 1, 8 and 9, 16 and 17, ...: eight companions each, side by side.
    again = reward.score_pool(pool, torch.arange(64), "crop", 0, 1)
    assert torch.equal(torch.cat(seen[:4]), torch.cat(seen[4:]))
    assert torch.equal(again, reward.score_pool(pool, torch.arange(64), "crop", 0, 1))
    assert not torch.allclose(
        again, reward.score_pool(pool, torch.arange(64), "crop", 0, 2), atol=1e-4
    )


def test_numbers_of_images_that_leave_some_alone_are_refused(projected):
    with pytest.raises(AdagenError, match=r"reward\.batch: 12, .* use a multiple of 8"):
        projected(batch=12)
    with pytest.raises(AdagenError, match=r"images to be judged: 20, .* use a multiple of 8"):
        judge(projected(), labelled(uniform(20)))


def test_scoring_changes_nothing(projected):
    reward = projected()
    before = {k: v.clone() for k, v in reward.heads.state_dict().items()}
    assert torch.equal(judge(reward, labelled(uniform(16))), judge(reward, labelled(uniform(16))))
    assert all(torch.equal(before[k], v) for k, v in reward.heads.state_dict().items())


# Learning


def shaded(n: int, side: str, *name: object) -> Images:
    """Noise that is brighter on one side: what no normalisation over images takes away."""
    ramp = torch.linspace(0, 0.7, 16)
    return labelled(0.3 * uniform(n, side, *name) + (ramp if side == "right" else ramp.flip(0)))


@pytest.mark.slow
def test_it_tells_two_distributions_apart_after_a_few_steps(projected):
    reward = projected(learning_rate=4e-3)
    real, fake = (reward.pool(shaded(64, side)) for side in ("left", "right"))
    reward.learn(real, fake, steps=64, generator=draw("steps"))
    left, right = (judge(reward, shaded(64, side, "new")).sigmoid() for side in ("left", "right"))
    assert left.mean() > 0.6 and right.mean() < 0.4
    assert (left > right).float().mean() > 0.9
    assert right.min() > 0 and left.max() < 1
    learnt = {id(p) for group in reward.optimiser.param_groups for p in group["params"]}
    assert learnt == {id(p) for p in reward.heads.parameters()}
    assert not any(p.requires_grad for p in reward.features.parameters())


def test_each_step_crops_its_images_anew(projected):
    reward, seen = projected(), []
    pool = reward.pool(labelled(uniform(1, side=40).expand(16, -1, -1, -1)))
    extract = pool.extractor
    pool.extractor = lambda batch, generator: seen.append(extract(batch, generator)) or seen[-1]
    reward.learn(pool, pool, steps=4, generator=draw("steps"))
    assert len(seen) == 8  # real and fake in turn
    different = [not torch.allclose(seen[0][0], maps[0], atol=1e-2) for maps in seen]
    assert any(different) and not different[0]


def test_a_restored_reward_scores_and_learns_on_as_the_original(projected):
    original, restored = projected(), projected()
    real, fake = labelled(uniform(32, "real", side=40)), labelled(uniform(32, "fake", side=40))
    original.learn(original.pool(real), original.pool(fake), steps=3, generator=draw("steps", 0))
    restored.load_state_dict(copy.deepcopy(original.state_dict()))
    for reward in (original, restored):
        reward.learn(reward.pool(real), reward.pool(fake), steps=3, generator=draw("steps", 1))
    images = labelled(uniform(16))
    assert torch.equal(judge(original, images), judge(restored, images))
    assert not torch.equal(judge(original, images), judge(projected(), images))


def test_the_default_is_the_papers():
    settings = DinoFeatures(kind="dino")
    assert (settings.image, settings.patch, settings.network.width) == (224, 16, 384)
    assert settings.blocks == (2, 5, 8, 11)
