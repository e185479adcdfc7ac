"""Text encoders: words, the contrastive fit, files, and the adapter of open_clip's."""

import open_clip
import pytest
import torch
from torch.nn import functional as F

from adagen.config import Fit
from adagen.data.captions.embeddings import write_embeddings
from adagen.data.captions.words import END, PAD, UNKNOWN, Words
from adagen.data.split import Images
from adagen.networks.fitting import Batch
from adagen.networks.text_encoder import (
    ContrastivePair,
    OpenClipText,
    WordEncoder,
    contrastive_loss,
    fit_text_encoder,
)
from adagen.runtime.noise import seeded

TEXTS = ["black left", "white left", "black right", "white right"]


def test_words():
    words = Words.of(["A red apple, two dogs."], 5)
    assert words.vocabulary == (",", ".", "a", "apple", "dogs", "red", "two")
    a, apple = (3 + words.vocabulary.index(word) for word in ("a", "apple"))
    rows = words.ids(["a apple", "", "a fox a apple a dogs", "\u72d0"])
    assert rows.tolist() == [
        [a, apple, END, PAD, PAD],
        [END, PAD, PAD, PAD, PAD],
        [a, UNKNOWN, a, apple, END],
        [UNKNOWN, END, PAD, PAD, PAD],
    ]
    assert words.cut(["a apple", "a fox a apple a dogs"]).tolist() == [0, 2]
    assert words.unknown("a Fox, two dogs") == ["fox"]


def scenes(count: int) -> Images:
    """A black or white half, at the left or at the right."""
    labels = torch.arange(count) % 4
    images = torch.full((count, 1, 16, 16), 0.5)
    for image, label in zip(images, labels.tolist(), strict=True):
        part = slice(0, 8) if label < 2 else slice(8, 16)
        image[..., part] = float(label % 2)
    return Images(images, labels)


@pytest.fixture(scope="module")
def pair() -> ContrastivePair:
    settings = Fit(updates=60, batch=16, learning_rate=5e-3)
    return fit_text_encoder(TEXTS, scenes(64), settings=settings, positions=4, width=16)


def test_a_fit_pairs_images_with_their_captions(pair):
    data = scenes(4)
    similarities = pair.similarities(data.images, torch.arange(4))
    assert similarities.argmax(0).tolist() == similarities.argmax(1).tolist() == [0, 1, 2, 3]


def test_images_of_one_caption_share_the_target():
    with seeded("pair"):
        pair = ContrastivePair(
            WordEncoder(Words.of(TEXTS, 4), 16, depth=1, heads=2), 1, captions=TEXTS
        )
    data = scenes(4)
    batch = Batch(data.images[[0, 0, 1]], torch.tensor([0, 0, 1]), torch.Generator())
    logits = pair.log_scale.exp() * pair.similarities(batch.images, batch.labels)
    target = torch.tensor([[0.5, 0.5, 0], [0.5, 0.5, 0], [0, 0, 1]])
    expected = -(target * (logits.log_softmax(1) + logits.log_softmax(0))).sum() / 6
    torch.testing.assert_close(contrastive_loss(pair, batch), expected)


def test_the_file_and_its_embeddings(pair, tmp_path):
    pair.encoder.save(tmp_path / "text.safetensors")
    encoder = WordEncoder.load(tmp_path / "text.safetensors")
    found, expected = encoder.encode(TEXTS), pair.encoder.encode(TEXTS)
    assert torch.equal(found.hidden, expected.hidden) and found.hidden.shape == (4, 4, 16)
    assert encoder.origin["weights"] == encoder.hash != ""
    embeddings = write_embeddings(TEXTS, encoder, out=tmp_path / "embeddings")
    labels = torch.tensor([2, 4])
    torch.testing.assert_close(embeddings.hidden(labels), encoder.encode([TEXTS[2], ""]).hidden)
    torch.testing.assert_close(embeddings.pooled(labels).norm(dim=1), torch.ones(2))


def test_open_clips_tower_gives_states_and_vectors(tmp_path):
    sizes = {"width": 16, "heads": 2, "layers": 2, "context_length": 77, "vocab_size": 49408}
    vision = {"image_size": 8, "patch_size": 4, "width": 16, "layers": 1, "head_width": 8}
    with seeded("clip"):
        clip = open_clip.CLIP(12, vision, sizes).eval()
    tokenizer = open_clip.get_tokenizer("ViT-B-32")
    encoder = OpenClipText(clip, tokenizer, name="tiny", weights="0" * 64)
    texts = ["a red apple", "", "dog " * 100]
    encoded = encoder.encode(texts)
    assert encoded.hidden.shape == (3, 77, 16) and encoded.cut.tolist() == [0, 0, 25]
    with torch.no_grad():
        expected = F.normalize(clip.encode_text(tokenizer(texts)), dim=1)
    torch.testing.assert_close(encoded.pooled, expected)
    # The vector is the projection of the last state: "a red apple" ends at position 4.
    last = F.normalize(encoded.hidden[0, 4] @ clip.text_projection, dim=0)
    torch.testing.assert_close(encoded.pooled[0], last)
    stored = write_embeddings(texts[:1], encoder, out=tmp_path / "e", dtype=torch.float16)
    torch.testing.assert_close(
        stored.hidden(torch.tensor([1])), encoded.hidden[1:2], atol=2e-3, rtol=0
    )
