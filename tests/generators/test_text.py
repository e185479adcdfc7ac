"""Captions as conditions, and generators of them."""

import numpy as np
import pytest
import torch

from adagen import config
from adagen.config import Dataset, Text
from adagen.data.captions.embeddings import write_embeddings
from adagen.data.captions.words import Words
from adagen.generators.build import build_backbone, build_generator, load_backbone, save_backbone
from adagen.generators.described import load_conditions
from adagen.generators.text import CaptionConditions
from adagen.networks.text_encoder import WordEncoder
from adagen.policy.networks import HandMade
from adagen.rewards.base import Reward
from adagen.rewards.convolution import Convolutions
from adagen.rewards.projected import ProjectedHeads
from adagen.rewards.tokens import Heads
from adagen.runtime.errors import AdagenError
from adagen.runtime.noise import SampleNoise, seeded, torch_generator
from adagen.sampling.loading import load
from adagen.sampling.sampler import Sampler

CAPTIONS = ("a red apple", "a blue apple", "a fox", "two foxes")
TEXT = Text(positions=6, width=16)
SIZE = {"width": 16, "depth": 2, "heads": 2}
SETTINGS = {
    "maskgit": config.MaskgitGenerator(
        paradigm="maskgit",
        text=TEXT,
        network=SIZE,
        tokeniser={"patch": 4, "vocabulary": 8},
    ),
    "sit": config.SitGenerator(paradigm="sit", text=TEXT, network=SIZE, patch=4),
    "dit": config.DitGenerator(paradigm="dit", text=TEXT, network=SIZE, patch=4),
}
SHARES = torch.tensor([0.5, 0.25, 0.125, 0.125], dtype=torch.float64)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    path = tmp_path_factory.mktemp("text") / "encoder.safetensors"
    with seeded("text test"):
        WordEncoder(Words.of(CAPTIONS, 6), 16, depth=2, heads=4).save(path)
    return WordEncoder.load(path)


@pytest.fixture(scope="module")
def table(encoder, tmp_path_factory):
    out = tmp_path_factory.mktemp("embeddings") / "captions"
    embeddings = write_embeddings(CAPTIONS, encoder, out=out)
    return CaptionConditions.of(embeddings, encoder, shares=SHARES)


@pytest.fixture(params=SETTINGS)
def sampler(request, table):
    settings = SETTINGS[request.param]
    with seeded("text backbone", request.param):
        backbone = build_backbone(settings, (3, 8, 8), num_classes=4, conditions=table)
        for parameter in backbone.network.parameters():
            torch.nn.init.normal_(parameter, std=0.1)
        if request.param == "maskgit":
            backbone.tokeniser.prototypes.uniform_()
    backbone.eval().requires_grad_(False)
    experiment = config.Experiment(generator="g", steps=2)
    generator = build_generator(backbone, experiment)
    return Sampler(generator, HandMade(len(generator.actions.names)))


def test_captions_are_drawn_by_their_shares(table):
    drawn = table.draw(4000, torch_generator("shares")).bincount(minlength=4) / 4000
    assert torch.allclose(drawn.double(), SHARES, atol=0.03)
    for start in (0, 1000):
        part = table.in_turn(start + 64)[start:]
        assert torch.allclose(part.bincount(minlength=4) / 64, SHARES.float(), atol=0.04)


def test_a_prompt_is_the_caption_of_the_same_words(table):
    prompts = table.encoded(['"A red apple."', "a  fox\n", ""])
    both = table(torch.tensor([0, 2, 4]))
    assert torch.allclose(prompts(torch.tensor([0, 1, 2])), both, atol=1e-6)
    assert torch.allclose(prompts(torch.tensor([3])), table(torch.tensor([4])), atol=1e-6)
    assert prompts.in_turn(4).tolist() == [0, 1, 2, 0]


@pytest.mark.parametrize(
    ("prompt", "reason"),
    [
        ("a zebra", "was never shown: 'zebra'"),
        ("ein roter Äpfel", "never shown: 'ein, roter, äpfel'"),
        ("תפוח אדום", "never shown"),
        ("\U0001f98a", "has no words, only signs"),
        ("...", 'give "" for no condition'),
    ],
)
def test_what_an_encoder_never_saw_is_refused(table, prompt, reason):
    with pytest.raises(AdagenError, match=reason):
        table.encoded([prompt])


@pytest.mark.parametrize(
    "prompts", [[], "a red apple", None, 3, [3], ["a fox", None], {"a fox"}, {"a fox": 1}, b"a fox"]
)
def test_prompts_are_a_list(table, prompts):
    with pytest.raises(AdagenError, match="list of texts"):
        table.encoded(prompts)


@pytest.mark.parametrize("kind", [tuple, np.array, iter])
def test_any_sequence_of_texts_is_a_list(sampler, kind):
    samples = sampler(prompts=kind(["a fox"]), progress=False)
    assert samples.prompts == ("a fox",) and len(samples) == 1


@pytest.mark.parametrize(
    "prompt", ["a\0fox", "\u202ea fox\u202c", "a fox \U0001f98a", "a fox \ud800"]
)
def test_signs_and_marks_mean_nothing(table, prompt):
    prompts = table.encoded([prompt])
    assert torch.allclose(prompts(torch.tensor([0])), table(torch.tensor([2])), atol=1e-6)


def test_a_reward_does_not_judge_samples_of_prompts(sampler):
    """It would take the number of a prompt for that of a caption."""

    class Judge(Reward):
        pool = score_pool = learn = None

    Judge.__abstractmethods__ = frozenset()
    with pytest.raises(AdagenError, match="knows the captions of the data set by their number"):
        sampler.best_of(2, Judge())(prompts=["a fox"])
    own = sampler.best_of(2, lambda images, labels: images.flatten(1).mean(1))
    assert len(own(prompts=["a fox"], progress=False)) == 1


def test_long_prompts_say_where_they_are_cut(table, capsys):
    table.encoded(["a red apple a blue apple a fox", "a fox", "two foxes " * 9])
    told = capsys.readouterr().err
    assert "3 words longer than the text encoder reads: it ends after 'a red apple a blue'" in told
    assert told.count("warning") == 1 and "In all, 2 are too long." in told


def test_prompts_make_the_same_images_in_any_batch(sampler):
    prompts = ["a red apple", "", "a fox"]
    once = sampler(prompts=prompts, n=5, progress=False)
    assert once.labels.tolist() == [0, 1, 2, 0, 1]
    assert once.prompts == tuple(prompts)
    small = Sampler(sampler.generator, sampler.policy, batch=2)
    again = small(prompts=prompts, n=5, progress=False)
    assert torch.allclose(once.images, again.images, atol=1e-5)
    captions = sampler([0, 0, 2], progress=False)
    assert torch.allclose(captions.images[[0, 2]], once.images[[0, 2]], atol=1e-4)
    if not sampler.generator.stochastic:  # random logits draw the same ids of either
        other = sampler(prompts=["a blue apple"], progress=False)
        assert not torch.equal(other.images[0], once.images[0])
    with pytest.raises(AdagenError, match="both labels and prompts"):
        sampler(0, prompts=prompts)


def test_a_generator_keeps_captions_and_encoder_in_its_file(sampler, tmp_path):
    backbone = sampler.generator.backbone
    families = {"MaskgitBackbone": "maskgit", "FlowBackbone": "sit", "DiffusionBackbone": "dit"}
    name = families[type(backbone).__name__]
    path, dataset = tmp_path / "generator.safetensors", Dataset()
    save_backbone(
        path,
        name,
        backbone=backbone,
        settings=SETTINGS[name],
        dataset=dataset,
        image_shape=(3, 8, 8),
        class_names=CAPTIONS,
    )
    again = load_backbone(path, name, settings=SETTINGS[name], dataset=dataset)
    labels = torch.arange(5)
    assert torch.equal(again.conditions(labels), backbone.conditions(labels))
    assert torch.equal(load_conditions(path).vectors(labels), backbone.conditions.vectors(labels))
    opened = load(None, path, steps=2, device="cpu")
    expected = sampler(prompts=["two foxes"], progress=False)
    images = opened(prompts=["two foxes"], progress=False).images
    assert images.shape == expected.images.shape


def test_conditional_rewards_see_captions_by_their_vectors(table):
    labels = torch.tensor([0, 1, 2])
    with seeded("text rewards"):
        heads = (
            (Convolutions((3, 8, 8), 8, conditions=table), torch.rand(3, 3, 8, 8)),
            (Heads(2, 8, channels=8, conditions=table), torch.randn(3, 2, 8, 4)),
            (ProjectedHeads(2, 8, conditions=table), torch.randn(3, 2, 8, 4)),
        )
        for network, seen in heads:
            network.eval()
            logits = network(seen[:1].expand_as(seen), labels)
            assert not torch.allclose(logits[0], logits[1])
            assert not any("pooled" in key or "hidden" in key for key in network.state_dict())


def test_a_loss_of_captions(sampler):
    from adagen.networks.fitting import Batch

    backbone = sampler.generator.backbone
    batch = Batch(torch.rand(4, 3, 8, 8), torch.arange(4), torch_generator("text loss"))
    assert torch.isfinite(backbone.loss(batch))
    noise = SampleNoise("text", 0, range(2))
    assert sampler.generator.start(torch.tensor([0, 4]), noise).features.shape[0] == 2
