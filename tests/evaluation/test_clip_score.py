"""The CLIP score of images, by a network of open_clip with random weights."""

import pytest
import torch
from clips import write_clip
from torch.nn import functional as F

from adagen.config import ClipScore, Dataset
from adagen.config.loading import check_section
from adagen.evaluation.clip_score import KIND, ClipScorer
from adagen.networks.clip import MEAN, STD, adopt_clip, clip_tokenizer
from adagen.runtime.errors import AdagenError
from adagen.runtime.hashing import file_hash
from adagen.runtime.noise import torch_generator

TEXTS = ("a red apple", "two foxes", "ein Baum über dem Haus")


@pytest.fixture
def files(tmp_path):
    """The network, the settings that name it, and the file of the metric."""
    clip = write_clip(tmp_path / "tiny.json", tmp_path / "clip.safetensors")
    settings, out = (
        ClipScore(model=str(tmp_path / "tiny.json")),
        tmp_path / "clip_score.safetensors",
    )
    adopt(tmp_path, settings)
    return clip, settings, out


def adopt(folder, settings, names=TEXTS):
    adopt_clip(
        folder / "clip.safetensors",
        settings,
        kind=KIND,
        dataset=Dataset(),
        names=names,
        out=folder / "clip_score.safetensors",
        device=torch.device("cpu"),
    )


def load(path, settings, dataset=None):
    return ClipScorer.load(path, settings, dataset=dataset or Dataset(), device=torch.device("cpu"))


def images(n):
    """Images of 8 bits."""
    pixels = torch.randint(256, (n, 3, 16, 16), generator=torch_generator("clip score"))
    return pixels.float() / 255


def test_it_is_a_hundred_times_the_mean_cosine(files):
    clip, settings, out = files
    x, labels = images(130), torch.arange(130) % 3
    with torch.no_grad():
        mean, std = (torch.tensor(values).view(3, 1, 1) for values in (MEAN, STD))
        tokens = clip_tokenizer(settings.model, "model")(list(TEXTS))
        texts = clip.encode_text(tokens)[labels]
        cosines = F.cosine_similarity(clip.encode_image((x - mean) / std), texts)
    assert (cosines < 0).any() and (cosines > 0).any()  # those below zero count as zero
    scorer = load(out, settings)
    found = scorer.score(x.split(33), labels)
    assert found["clip_score"] == pytest.approx(100 * float(cosines.clamp(min=0).mean()), abs=1e-3)
    assert scorer.score([x], labels) == found  # however images come
    rounded = scorer.score([(x + 0.4 / 255).clamp(max=1)], labels)
    assert rounded["clip_score"] == found["clip_score"]  # 8 bits


def test_its_name_and_description_say_which_network_it_is(files, tmp_path):
    _, settings, out = files
    scorer, weights = load(out, settings), file_hash(tmp_path / "clip.safetensors")
    assert scorer.name == f"clip.tiny.{weights[:8]}"
    assert scorer.described["weights_hash"] == weights
    worded = settings.model_copy(update={"prompt": "a photo of {}"})
    adopt(tmp_path, worded)
    assert load(out, worded).name == f"clip.tiny.{weights[:8]}.a photo of _"


@pytest.mark.parametrize(
    ("count", "labels", "told"),
    [
        (5, torch.zeros(6).long(), "5 images and 6 texts"),
        (65, torch.zeros(64).long(), "65 images and 64 texts"),
        (2, torch.tensor([0, 3]), "label 3 is none of the 3 texts"),
    ],
)
def test_images_and_texts_that_don_t_pair_are_refused(files, count, labels, told):
    _, settings, out = files
    with pytest.raises(AdagenError, match=told):
        load(out, settings).score([images(count)], labels)


def test_files_of_other_settings_are_refused(files, tmp_path):
    _, settings, out = files
    with pytest.raises(AdagenError, match=r"prompt is"):
        load(out, settings.model_copy(update={"prompt": "{}!"}))
    with pytest.raises(AdagenError, match=r"dataset\.heldout is"):
        load(out, settings, dataset=Dataset(heldout=300))
    with pytest.raises(AdagenError, match=r"gone\.json', but there is no such file"):
        adopt(tmp_path, settings.model_copy(update={"model": "gone.json"}))
    (tmp_path / "other.json").write_text('{"vision_cfg": {}}')
    with pytest.raises(AdagenError, match="describes no CLIP"):
        adopt(tmp_path, settings.model_copy(update={"model": str(tmp_path / "other.json")}))


def test_a_prompt_has_one_place_for_the_caption():
    with pytest.raises(AdagenError, match=r"'prompt' is 'a photo'"):
        check_section(ClipScore, {"prompt": "a photo"}, source="test")
