"""Embeddings of captions: computed once, in shards, resumed, hashed; rows are labels."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from adagen.data.captions import embeddings
from adagen.data.captions.embeddings import Embeddings, Encoded, write_embeddings
from adagen.runtime.errors import AdagenError

TEXTS = [f"caption {i}" for i in range(10)]


class Counting:
    """Encodes a text by its letters, and counts texts; from some call on it is killed."""

    def __init__(self, name: str = "letters", calls: int = 100) -> None:
        self.origin, self.calls, self.seen = {"name": name}, calls, 0

    def encode(self, texts: Sequence[str]) -> Encoded:
        self.calls -= 1
        if self.calls < 0:
            raise KeyboardInterrupt
        self.seen += len(texts)
        sums = torch.tensor([float(sum(map(ord, text))) for text in texts])
        hidden = sums.view(-1, 1, 1) + torch.arange(6.0).view(3, 2)
        cut = torch.tensor([max(0, len(text) - 9) for text in texts])
        return Encoded(hidden, sums.unsqueeze(1) / 100, cut)


@pytest.mark.parametrize("most", [0, 2**20])
def test_rows_are_labels_and_the_last_is_the_null(tmp_path, monkeypatch, most):
    monkeypatch.setattr(embeddings, "IN_MEMORY", most)
    found = write_embeddings(TEXTS, Counting(), out=tmp_path / "e", shard=4)
    assert (found.stored is None) == (most == 0)
    expected = Counting().encode([*TEXTS, ""])
    labels = torch.tensor([9, 0, 10, 4])
    torch.testing.assert_close(found.hidden(labels), expected.hidden[labels])
    torch.testing.assert_close(found.pooled(labels), expected.pooled[labels])
    assert found.texts == tuple(TEXTS) and len(found) == 10
    assert torch.equal(found.to(torch.device("cpu")).hidden(labels), found.hidden(labels))
    for outside in (-1, 11):
        with pytest.raises(AdagenError, match="is no caption"):
            found.hidden(torch.tensor([outside]))


def test_a_killed_run_continues_and_gives_the_same_bytes(tmp_path):
    out = tmp_path / "e"
    with pytest.raises(KeyboardInterrupt):
        write_embeddings(TEXTS, Counting(calls=2), out=out, shard=4)
    assert not out.exists()
    again = Counting()
    write_embeddings(TEXTS, again, out=out, shard=4)
    assert again.seen == 3  # two captions, and the null
    write_embeddings(TEXTS, Counting(), out=tmp_path / "whole", shard=4)
    names = sorted(path.name for path in out.iterdir())
    assert names == sorted(path.name for path in (tmp_path / "whole").iterdir())
    for name in names:
        assert (out / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_shards_of_another_list_encoder_or_size_are_not_taken_over(tmp_path):
    out = tmp_path / "e"
    for texts, name, shard in (
        (TEXTS, "letters", 4),
        (TEXTS[::-1], "letters", 4),
        (TEXTS, "others", 4),
        (TEXTS, "others", 6),
    ):
        with pytest.raises(KeyboardInterrupt):
            write_embeddings(texts, Counting(name, calls=2), out=out, shard=shard)
    encoder = Counting("others")
    found = write_embeddings(TEXTS, encoder, out=out, shard=6)
    assert found.hidden(torch.arange(10))[:, 0, 0].tolist() == [
        sum(map(ord, text)) for text in TEXTS
    ]
    names = ["captions-00000000.safetensors", "captions-00000006.safetensors"]
    assert [path.name for path in sorted(out.glob("captions-*"))] == names


def test_texts_are_plain_and_a_cut_is_said(tmp_path, capsys):
    texts = ["a\n red\u2028apple", '"\u05d0\u05d1" \ud800', "a very long caption"]
    found = write_embeddings(texts, Counting(), out=tmp_path / "e", shard=2)
    assert found.texts == ("a red apple", '"\u05d0\u05d1" ?', "a very long caption")
    assert found.about["cut"] == 2
    assert "2 of 3 captions are longer" in capsys.readouterr().err
    assert Embeddings.open(tmp_path / "e").texts == found.texts


def test_half_precision_is_stored_where_it_suffices(tmp_path):
    big = Counting()
    with pytest.raises(AdagenError, match=r"not finite as torch\.float16"):
        write_embeddings(["x" * 1000], big, out=tmp_path / "e", dtype=torch.float16)
    found = write_embeddings(["x"], big, out=tmp_path / "e", dtype=torch.float16)
    assert found.hidden(torch.tensor([0])).dtype == torch.float32
    assert found.about["dtype"] == "torch.float16"


def test_refusals(tmp_path):
    with pytest.raises(AdagenError, match="caption 1 is empty"):
        write_embeddings(["a", " \n"], Counting(), out=tmp_path / "e")
    for wrong in ([], "a fox", [None]):
        with pytest.raises(AdagenError, match="a list of texts with at least one"):
            write_embeddings(wrong, Counting(), out=tmp_path / "e")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "about.json").write_text('{"kind": "samples"}')
    with pytest.raises(AdagenError, match="is not replaced"):
        write_embeddings(["a"], Counting(), out=tmp_path / "mine")
    with pytest.raises(AdagenError, match="holds no caption embeddings"):
        Embeddings.open(tmp_path)


@pytest.mark.parametrize("name", ["captions.txt", "captions-00000004.safetensors", "about.json"])
@pytest.mark.parametrize("damage", ["missing", "cut", "other"])
def test_damage_is_noticed(tmp_path: Path, name: str, damage: str) -> None:
    write_embeddings(TEXTS, Counting(), out=tmp_path / "e", shard=4)
    write_embeddings(TEXTS[::-1], Counting(), out=tmp_path / "other", shard=4)
    path = tmp_path / "e" / name
    match damage:
        case "missing":
            path.unlink()
        case "cut":
            path.write_bytes(path.read_bytes()[:-20])
        case "other" if name != "about.json":
            path.write_bytes((tmp_path / "other" / name).read_bytes())
        case _:
            path.write_text(path.read_text().replace('"count": 10', '"count": 9'))
    with pytest.raises(AdagenError):
        Embeddings.open(tmp_path / "e")
