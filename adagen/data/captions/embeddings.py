"""Embeddings of a list of captions, computed once: a folder of shards.

    about.json                    the list (hash), the encoder, shapes, which files there are
    captions.txt                  a caption on each line
    null.safetensors              embedding of the null condition, the empty text
    captions-<start>.safetensors  hidden (n, M, D), pooled (n, P), cut (n,) from row <start> on

A caption is known by its row, so that rows are labels: `len(texts)` is the null label, as it is the
number of classes where conditions are classes. Shards are made one by one in a working folder,
where a killed run finds them again; the folder appears whole or not at all.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple, Protocol, Self

import safetensors
import torch

from adagen.data.captions.pairs import list_hash, plain_text
from adagen.runtime.arguments import require_texts
from adagen.runtime.atomic import atomic_path, move_folder
from adagen.runtime.documents import parse_json, read_json
from adagen.runtime.errors import AdagenError
from adagen.runtime.files import CHECKSUM, difference, load_tensors, save_tensors
from adagen.runtime.limits import CAPTION_BYTES, read_text
from adagen.runtime.notices import warn
from adagen.runtime.progress import progress
from adagen.runtime.records import read_record, write_record

KIND, VERSION = "caption embeddings", 1
SHARD, NULL = f"{KIND} shard", "null.safetensors"
KEYS = ("hidden", "pooled")
"""The two embeddings of a caption."""
ABOUT, TEXTS = "about.json", "captions.txt"
BATCH = 64
"""Captions that are encoded at once."""
IN_MEMORY = 2**28
"""Embeddings are kept in memory up to this many bytes, and are read from their files beyond."""
AGAIN = "Move the folder away and compute the embeddings again."


class Encoded(NamedTuple):
    """Texts as a text encoder gives them.

    Attributes:
        hidden: (B, M, D) float, a hidden state for each position.
        pooled: (B, P) float, one vector for the whole text.
        cut: (B,) int64, tokens that were cut off, as the encoder reads M at most.
    """

    hidden: torch.Tensor
    pooled: torch.Tensor
    cut: torch.Tensor


class TextEncoder(Protocol):
    """A frozen text encoder.

    Attributes:
        origin: what its embeddings depend on, as JSON values: architecture, hash of the weights.
    """

    @property
    def origin(self) -> Mapping[str, Any]:
        """See the attribute."""
        ...

    def encode(self, texts: Sequence[str]) -> Encoded:
        """Encode texts; the empty text stands for no condition."""
        ...


@dataclass(frozen=True)
class Embeddings:
    """The embeddings of a list of captions.

    Attributes:
        folder: where they lie.
        about: the content of about.json.
        texts: the captions; row i is label i, and `len(texts)` is the null label.
        null: the null's hidden states (1, M, D) and pooled vector (1, P).
        stored: those of all captions and, at last, of the null, if they fit into memory.
        shard: reads the shard that begins with a row, where they don't.
    """

    folder: Path
    about: dict[str, Any]
    texts: tuple[str, ...]
    null: dict[str, torch.Tensor]
    stored: dict[str, torch.Tensor] | None
    shard: Callable[[int], Any]

    def __len__(self) -> int:
        return len(self.texts)

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Read the captions and the null, and all embeddings if they are small.

        Raises:
            AdagenError: the folder is missing, damaged, of another version or something else.
        """
        if not (folder / ABOUT).is_file():
            raise AdagenError(f"{folder} holds no {KIND}: it has no {ABOUT}. Check the path.")
        about = read_record(folder / ABOUT, remedy=AGAIN)
        if (about.get("kind"), about.get("version")) != (KIND, VERSION):
            raise AdagenError(f"{folder / ABOUT} describes no {KIND} of version {VERSION}. {AGAIN}")
        try:
            texts = read_text(folder / TEXTS, most=CAPTION_BYTES).split("\n")[:-1]
        except (OSError, UnicodeDecodeError) as error:
            raise AdagenError(f"{folder / TEXTS} cannot be read ({error}). {AGAIN}") from None
        if list_hash(texts) != about["captions_hash"]:
            raise AdagenError(f"{folder / TEXTS} is another list than {ABOUT} says. {AGAIN}")
        for name, checksum in about["checksums"].items():
            if _checksum(folder / name) != checksum:
                raise AdagenError(f"{folder / name} belongs to other {KIND}. {AGAIN}")
        null, _ = load_tensors(folder / NULL, SHARD)
        size = len(texts) * 4 * (null["hidden"].numel() + null["pooled"].numel())
        stored = None
        if size <= IN_MEMORY:
            names = [name for name in about["checksums"] if name != NULL]
            parts = [load_tensors(folder / name, SHARD)[0] for name in names]
            parts.append(null)
            stored = {key: torch.cat([part[key] for part in parts]).float() for key in KEYS}
        return cls(
            folder=folder,
            about=about,
            texts=tuple(texts),
            null={key: null[key].float() for key in KEYS},
            stored=stored,
            shard=lru_cache(64)(lambda start: _open(folder / _name(start))),
        )

    def to(self, device: torch.device) -> Self:
        """The same embeddings, on a device if they are held in memory."""
        if self.stored is None:
            return self
        return replace(self, stored={key: x.to(device) for key, x in self.stored.items()})

    def hidden(self, labels: torch.Tensor) -> torch.Tensor:
        """(B, M, D) float32 hidden states of labels (B,), on their device."""
        return self._rows("hidden", labels)

    def pooled(self, labels: torch.Tensor) -> torch.Tensor:
        """(B, P) float32 vectors of labels (B,), on their device."""
        return self._rows("pooled", labels)

    def _rows(self, key: str, labels: torch.Tensor) -> torch.Tensor:
        """The rows of `KEYS` that belong to labels.

        Raises:
            AdagenError: a label is no caption and not the null.
        """
        # On a GPU, looking at labels would wait for all that was started there.
        if self.stored is None or labels.device.type == "cpu":
            outside = (labels < 0) | (labels > len(self))
            if outside.any():
                raise AdagenError(
                    f"label {int(labels[outside][0])} is no caption: {self.folder} has "
                    f"{len(self)}, from 0 on, and {len(self)} for the null."
                )
        if self.stored is not None:
            table = self.stored[key]
            return table[labels.to(table.device)].to(labels.device)
        return torch.stack([self._row(key, row) for row in labels.tolist()]).to(labels.device)

    def _row(self, key: str, row: int) -> torch.Tensor:
        """The embedding of a caption, from its file; or of the null."""
        if row == len(self):
            return self.null[key][0]
        offset = row % int(self.about["shard"])
        found: torch.Tensor = self.shard(row - offset).get_slice(key)[offset]
        return found.float()


def write_embeddings(
    texts: Sequence[str],
    encoder: TextEncoder,
    *,
    out: Path,
    working: Path | None = None,
    shard: int = 1024,
    dtype: torch.dtype = torch.float32,
) -> Embeddings:
    """Encode a list of captions and write their embeddings; a killed run is continued.

    Args:
        texts: captions, of which none may be empty; they are taken as `plain_text`.
        encoder: the text encoder.
        out: folder to write, which may not exist unless it holds embeddings.
        working: folder of unfinished shards; None for one beside `out`.
        shard: captions in a file.
        dtype: of hidden states in the files. `torch.float16` halves those of a large encoder.

    Raises:
        AdagenError: a text is empty, there is none, `out` is something else, or the disk is full.
    """
    texts = [plain_text(text) for text in require_texts("texts", texts)]
    if "" in texts:
        raise AdagenError(
            f"caption {texts.index('')} is empty, but the empty text stands for no condition: "
            "leave it out."
        )
    _require_replaceable(out)
    folder = out.with_name(f".{out.name}.working") if working is None else working
    bound = {
        "kind": SHARD,
        "captions_hash": list_hash(texts),
        "encoder": dict(encoder.origin),
        "dtype": str(dtype),
    }
    starts = range(0, len(texts), shard)
    names = [_name(start) for start in starts] + [NULL]
    parts = [texts[start : start + shard] for start in starts] + [[""]]
    missing = [i for i, name in enumerate(names) if not _is_there(folder / name, bound, parts[i])]
    done = len(names) - len(missing)
    for i in progress(missing, "captions", total=len(names), done=done):
        encoded = [
            encoder.encode(parts[i][at : at + BATCH]) for at in range(0, len(parts[i]), BATCH)
        ]
        hidden, pooled, cut = (torch.cat(found).cpu() for found in zip(*encoded, strict=True))
        if not (torch.isfinite(hidden).all() and torch.isfinite(hidden.to(dtype)).all()):
            raise AdagenError(f"hidden states are not finite as {dtype}: choose another one.")
        tensors = {"hidden": hidden.to(dtype), "pooled": pooled.float(), "cut": cut}
        save_tensors(folder / names[i], tensors, about=bound)
    _publish(folder, names, out=out, texts=texts, bound=bound, shard=shard)
    return Embeddings.open(out)


def _publish(
    folder: Path,
    names: Sequence[str],
    *,
    out: Path,
    texts: Sequence[str],
    bound: Mapping[str, Any],
    shard: int,
) -> None:
    """Describe finished shards, and move their folder to `out`."""
    with atomic_path(folder / TEXTS) as temporary:
        temporary.write_text("".join(f"{text}\n" for text in texts), encoding="utf-8", newline="\n")
    cuts = torch.cat([_open(folder / name).get_tensor("cut") for name in names])
    if count := int((cuts > 0).sum()):
        first = texts[int(cuts.nonzero()[0])]
        warn(
            f"{count:,} of {len(texts):,} captions are longer than the text encoder reads, and "
            f"were cut, the first of them {first[:60]!r}."
        )
    _, positions, width = _open(folder / NULL).get_slice("hidden").get_shape()
    about = {
        **bound,
        "kind": KIND,
        "version": VERSION,
        "count": len(texts),
        "positions": positions,
        "width": width,
        "shard": shard,
        "cut": count,
        "checksums": {name: _checksum(folder / name) for name in names},
    }
    write_record(folder / ABOUT, about)
    for path in folder.glob("captions-*.safetensors"):  # of another size of shards, or list
        if path.name not in names:
            path.unlink()
    move_folder(folder, out)


def _require_replaceable(out: Path) -> None:
    """Refuse to replace anything but embeddings."""
    if not out.exists():
        return
    try:
        about = read_json(out / ABOUT)
    except (AdagenError, OSError):
        about = None
    if not isinstance(about, dict) or about.get("kind") != KIND:
        raise AdagenError(
            f"{out} exists and holds no {KIND}, so it is not replaced: choose another."
        )


def _name(start: int) -> str:
    """The file of the shard that begins with a row."""
    return f"captions-{start:08d}.safetensors"


def _is_there(path: Path, bound: Mapping[str, Any], texts: Sequence[str]) -> bool:
    """True if a shard was written for these captions by this encoder."""
    try:
        tensors, about = load_tensors(path, SHARD)
    except AdagenError:  # missing, or cut short by a full disk: made again
        return False
    return difference(about, bound) is None and len(tensors["cut"]) == len(texts)


def _open(path: Path) -> Any:
    """An open shard, whose tensors are read as they are asked for."""
    try:
        return safetensors.safe_open(path, "pt")
    except (safetensors.SafetensorError, OSError) as error:
        raise AdagenError(f"{path} cannot be read as {KIND} ({error}). {AGAIN}") from None


def _checksum(path: Path) -> str:
    """The checksum in the description of a shard."""
    try:
        return str(parse_json(_open(path).metadata()["about"])[CHECKSUM])
    except (ValueError, KeyError, TypeError):
        raise AdagenError(f"{path} holds no {KIND}. {AGAIN}") from None
