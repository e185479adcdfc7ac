"""Captions as conditions whose embeddings stay in their files: those of a large text encoder.

A caption of ViT-bigG-14 takes a fifth of a megabyte, and a list has a hundred thousand. So the file
of a generator has no embeddings; it names their folder, by its place from there and by a hash.
"""

import os
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, Self

import torch

from adagen.data.captions.embeddings import BATCH, Embeddings
from adagen.data.captions.pairs import list_hash
from adagen.generators.conditions import Conditions, TextTable, prompt_table, tell_cut
from adagen.networks.clip import released_text
from adagen.networks.text_encoder import OpenClipText
from adagen.runtime.errors import AdagenError
from adagen.runtime.files import load_tensors, save_tensors

KIND = "released text encoder"
RECENT = 4
"""Number of batches whose hidden states are kept for the next pass: a sample asks at every step."""


class ReleasedEncoder(NamedTuple):
    """A text encoder whose file is read when somebody gives prompts.

    Attributes:
        model: name of the network in open_clip, or path of a file that describes it.
        file: its weights.
    """

    model: str
    file: str

    def save(self, path: Path) -> None:
        """Write model and file, for `load`."""
        described = self.model.endswith(".json")  # a path, and not a name that open_clip knows
        model = os.path.abspath(self.model) if described else self.model
        about = {"kind": KIND, "model": model, "file": os.path.abspath(self.file)}
        save_tensors(path, {}, about=about)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote.

        Raises:
            AdagenError: the file is missing, damaged or of another kind.
        """
        _, about = load_tensors(path, KIND)
        return cls(about["model"], about["file"])

    def open(self, embeddings: Embeddings) -> OpenClipText:
        """Read it from its file.

        Raises:
            AdagenError: the file is gone, or holds other weights than those that made the
                embeddings.
        """
        path = Path(self.file)
        if not path.exists():
            raise AdagenError(
                f"{path} does not exist, the text encoder that prompts are read by: put it there "
                "again (`adagen fetch`), or give labels."
            )
        encoder = released_text(path, self.model, key="text.model", device=torch.device("cpu"))
        if dict(encoder.origin) != embeddings.about["encoder"]:
            raise AdagenError(
                f"{path} holds another text encoder than the one that made {embeddings.folder}: "
                "put that one back, or give labels."
            )
        return encoder


class StoredCaptions(Conditions):
    """Captions of a data set, with the embeddings of a frozen text encoder.

    Args:
        embeddings: those of all captions, in the order of their labels.
        train: number of captions that trainings draw from, which are the first.
        reported: (R,) int64 captions that reported samples show.
        encoder: the text encoder, for prompts of a user's own.
    """

    reported: torch.Tensor

    def __init__(
        self,
        embeddings: Embeddings,
        *,
        train: int,
        reported: torch.Tensor,
        encoder: ReleasedEncoder,
    ) -> None:
        super().__init__()
        self.embeddings, self.train_count, self.encoder = embeddings, train, encoder
        self.register_buffer("reported", reported.clone(), persistent=False)
        self._recent: list[tuple[torch.Tensor, torch.Tensor]] = []

    def __len__(self) -> int:
        return len(self.embeddings)

    def forward(self, labels: torch.Tensor) -> torch.Tensor:
        """Return the hidden states (B, M, D) of labels (B,), on their device."""
        for known, hidden in self._recent:
            same = known.shape == labels.shape and known.device == labels.device
            if same and torch.equal(known, labels):
                return hidden
        self.embeddings = self._on(labels.device)
        hidden = self.embeddings.hidden(labels)
        self._recent = [(labels.clone(), hidden), *self._recent][:RECENT]
        return hidden

    def vectors(self, labels: torch.Tensor) -> torch.Tensor:
        """Return the normalised vectors (B, P) of labels (B,), on their device."""
        self.embeddings = self._on(labels.device)
        return self.embeddings.pooled(labels)

    def _on(self, device: torch.device) -> Embeddings:
        """The embeddings; on the device if they are held in memory."""
        stored = self.embeddings.stored
        if stored is None or stored["pooled"].device == device:
            return self.embeddings
        return self.embeddings.to(device)

    @property
    def vector_width(self) -> int:
        """The width P of vectors."""
        return self.embeddings.null["pooled"].shape[1]

    def draw(self, n: int, generator: torch.Generator) -> torch.Tensor:
        """Draw captions (n,) of train images, all equally likely."""
        return torch.randint(self.train_count, (n,), generator=generator)

    def in_turn(self, n: int) -> torch.Tensor:
        """Return reported caption i mod R of sample i."""
        reported = self.reported.cpu()
        return reported[torch.arange(n) % len(reported)]

    def require_same(self, texts: Sequence[str], source: str) -> None:
        """Refuse a data set of other captions, or in another order; `source` names it.

        Raises:
            AdagenError: it is.
        """
        if list_hash(texts) != self.embeddings.about["captions_hash"]:
            raise AdagenError(
                f"{source} has other captions than the generator was made with: run `adagen embed` "
                "and `adagen pretrain` again, or restore the captions."
            )

    @cached_property
    def _opened(self) -> OpenClipText:
        """The text encoder, which is read once: some have gigabytes."""
        return self.encoder.open(self.embeddings)

    def of_texts(self, texts: Sequence[str]) -> TextTable:
        """Return a table of prompts, whose null is that of the captions; so is the empty prompt.

        Raises:
            AdagenError: the text encoder's file is gone.
        """
        parts = [texts[start : start + BATCH] for start in range(0, len(texts), BATCH)]
        encoded = [self._opened.encode(part) for part in parts]
        hidden, pooled, cut = (torch.cat(found).cpu() for found in zip(*encoded, strict=True))
        tell_cut(
            [
                f"prompt {text[:60]!r} is {tokens} tokens longer than the text encoder reads: "
                f"{self._opened.lost(text)[:60]!r} is cut off"
                for text, tokens in zip(texts, cut.tolist(), strict=True)
                if tokens
            ]
        )
        null = self.embeddings.null["hidden"], self.embeddings.null["pooled"]
        table = prompt_table(texts, hidden=hidden.float(), pooled=pooled.float(), null=null)
        return table.to(self.reported.device)


def described(conditions: StoredCaptions, path: Path) -> dict[str, Any]:
    """Describe conditions for the file `path` of a generator, as `open_stored` reads them."""
    embeddings = conditions.embeddings
    return {
        "folder": os.path.relpath(embeddings.folder, path.parent),
        "encoder": embeddings.about["encoder"],
        "captions_hash": embeddings.about["captions_hash"],
        "train": conditions.train_count,
        "reported": conditions.reported.tolist(),
        "model": conditions.encoder.model,
        "file": os.path.abspath(conditions.encoder.file),
    }


class SizedCaptions(Conditions):
    """Captions of which only number and sizes are known, for counting operations.

    Args:
        count: number of captions.
        positions: hidden states of a caption.
        width: channels of a hidden state.
        vectors: numbers of a vector.
    """

    def __init__(self, count: int, *, positions: int, width: int, vectors: int) -> None:
        super().__init__()
        self.count, self.shape, self.numbers = count, (positions, width), vectors

    def __len__(self) -> int:
        return self.count

    def forward(self, labels: torch.Tensor) -> torch.Tensor:
        """Return hidden states (B, M, D) without values."""
        return torch.empty(len(labels), *self.shape, device=labels.device)

    def vectors(self, labels: torch.Tensor) -> torch.Tensor:
        """Return vectors (B, P) without values."""
        return torch.empty(len(labels), self.numbers, device=labels.device)

    @property
    def vector_width(self) -> int:
        """The width P of vectors."""
        return self.numbers


def open_stored(path: Path, about: Mapping[str, Any]) -> StoredCaptions:
    """The conditions that the file of a generator speaks of, with their embeddings.

    Args:
        path: the file.
        about: what `described` gave.

    Raises:
        AdagenError: the folder is missing or damaged, or has other embeddings.
    """
    folder = Path(os.path.normpath(path.parent / about["folder"]))
    if not folder.exists():
        raise AdagenError(
            f"{path} belongs to the embeddings of its captions in {folder}, which does not exist: "
            "put the folder there, or make both again (`adagen embed`, `adagen pretrain`)."
        )
    embeddings = Embeddings.open(folder)
    for key, of in (("captions_hash", "captions"), ("encoder", "weights")):
        if embeddings.about[key] != about[key]:
            raise AdagenError(
                f"{folder} holds embeddings of other {of} than {path} was made with: put those "
                "back, or make both again (`adagen embed`, `adagen pretrain`)."
            )
    return StoredCaptions(
        embeddings,
        train=about["train"],
        reported=torch.tensor(about["reported"]),
        encoder=ReleasedEncoder(about["model"], about["file"]),
    )
