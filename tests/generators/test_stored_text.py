"""Captions whose embeddings stay in files: what is drawn, in turn, and given to networks."""

import pytest
import torch
from clips import write_clip

from adagen.data.captions import embeddings as module
from adagen.data.captions.embeddings import write_embeddings
from adagen.generators import stored_text
from adagen.generators.conditions import nearest
from adagen.generators.stored_text import (
    ReleasedEncoder,
    StoredCaptions,
    described,
    open_stored,
)
from adagen.networks.clip import released_text
from adagen.runtime.errors import AdagenError

TEXTS = [f"caption number {i}" for i in range(6)]
CPU = torch.device("cpu")


@pytest.fixture
def encoder(tmp_path):
    write_clip(tmp_path / "tiny.json", tmp_path / "clip.safetensors")
    return released_text(
        tmp_path / "clip.safetensors", str(tmp_path / "tiny.json"), key="text.model", device=CPU
    )


@pytest.fixture
def conditions(tmp_path, encoder, monkeypatch):
    """Six captions in two files, of which four are of train images and three reported."""
    monkeypatch.setattr(module, "IN_MEMORY", 0)
    found = write_embeddings(TEXTS, encoder, out=tmp_path / "text" / "a.embeddings", shard=4)
    files = ReleasedEncoder(str(tmp_path / "tiny.json"), str(tmp_path / "clip.safetensors"))
    return StoredCaptions(found, train=4, reported=torch.tensor([4, 5, 1]), encoder=files)


def test_they_are_the_encoders_and_the_last_is_the_null(conditions, encoder):
    labels = torch.tensor([5, 0, 6])
    expected = encoder.encode([TEXTS[5], TEXTS[0], ""])
    torch.testing.assert_close(conditions(labels), expected.hidden)
    torch.testing.assert_close(conditions.vectors(labels), expected.pooled)
    assert (len(conditions), conditions.vector_width) == (6, 16)
    assert conditions.embedding(5)(labels).shape == (3, 5)


def test_they_form_groups(conditions):
    centres = conditions.centres(2)
    assert centres.shape == (2, 16)
    vectors = conditions.vectors(torch.tensor([1, 4, 5]))
    means = [vectors[nearest(vectors, centres) == group].mean(0) for group in range(2)]
    torch.testing.assert_close(centres, torch.stack(means))


def test_files_are_read_once_for_the_steps_of_a_batch(conditions):
    labels = torch.tensor([1, 2])
    first, nulls = conditions(labels), conditions(torch.tensor([6, 6]))
    assert conditions(labels.clone()) is first
    assert conditions(torch.tensor([6, 6])) is nulls
    assert not torch.equal(conditions(torch.tensor([2, 1])), first)


def test_trainings_draw_train_captions_and_samples_show_reported_ones(conditions):
    drawn = conditions.draw(500, torch.Generator().manual_seed(0))
    assert set(drawn.tolist()) == {0, 1, 2, 3}
    assert conditions.in_turn(7).tolist() == [4, 5, 1, 4, 5, 1, 4]


def test_prompts_of_ones_own(conditions, encoder, capsys, monkeypatch):
    prompts = ["a red\n  apple", "", "one " * 75 + "of the lost foxes"]
    table = conditions.encoded(prompts)
    expected = encoder.encode(["a red apple"])
    torch.testing.assert_close(table(torch.tensor([0])), expected.hidden)
    null = conditions(torch.tensor([6]))
    assert torch.equal(table(torch.tensor([1])), null)  # the empty prompt
    assert torch.equal(table(torch.tensor([len(table)])), null)
    told = "4 tokens longer than the text encoder reads: 'of the lost foxes' is cut off"
    assert told in capsys.readouterr().err
    assert table.in_turn(4).tolist() == [0, 1, 2, 0]
    monkeypatch.setattr(stored_text, "BATCH", 2)  # so many are encoded at once
    torch.testing.assert_close(conditions.encoded(prompts)(torch.arange(4)), table(torch.arange(4)))
    for wrong in ("a red apple", [], [3]):
        with pytest.raises(AdagenError, match="a list of texts with at least one"):
            conditions.encoded(wrong)


@pytest.mark.parametrize(
    "prompt",
    [
        "\u00e9t\u00e9 \u2603",
        'a "red" apple',
        "two\nlines",
        "\u062a\u0641\u0627\u062d\u0629",
        "a\0b",
        "\ud800",
    ],
)
def test_any_prompt_is_embedded(conditions, prompt, capsys):
    """What is not Unicode is a question mark, as in captions."""
    table = conditions.encoded([prompt, prompt.encode(errors="replace").decode()])
    hidden = table(torch.tensor([0, 1, 2]))
    assert hidden.isfinite().all() and torch.equal(hidden[0], hidden[1])
    assert not torch.equal(hidden[0], hidden[2])  # none is taken for the empty one
    assert capsys.readouterr().err == ""


def test_the_file_of_a_generator_names_their_folder(conditions, encoder, tmp_path):
    path = tmp_path / "generators" / "a.safetensors"
    about = described(conditions, path)
    assert about["folder"] == "../text/a.embeddings"
    again = open_stored(path, about)
    labels = torch.arange(7)
    assert torch.equal(again(labels), conditions(labels))
    assert again.in_turn(3).tolist() == [4, 5, 1] and again.train_count == 4
    with pytest.raises(AdagenError, match="embeddings of other captions than"):
        open_stored(path, {**about, "captions_hash": "0"})
    (tmp_path / "clip.safetensors").unlink()
    with pytest.raises(AdagenError, match=r"clip\.safetensors does not exist, the text encoder"):
        again.encoded(["a fox"])
    (tmp_path / "text").rename(tmp_path / "moved")
    with pytest.raises(AdagenError, match=r"text/a\.embeddings, which does not exist"):
        open_stored(path, about)
