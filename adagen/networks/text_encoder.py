"""Text encoders: a small one, learnt contrastively with images, and the adapter of open_clip's.

The small one is learnt as CLIP is (Radford et al., 2021): an image and its caption are to have
vectors that are closer to each other than to those of the rest of the batch.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import torch
from torch import nn
from torch.nn import functional as F

from adagen.config import Fit
from adagen.data.captions.embeddings import Encoded
from adagen.data.captions.pairs import list_hash
from adagen.data.captions.words import PAD, Words
from adagen.data.split import Images
from adagen.networks.fitting import CPU, Batch, fit
from adagen.networks.layers import Attention, FeedForward
from adagen.runtime.files import load_tensors, save_tensors
from adagen.runtime.hashing import reading
from adagen.runtime.noise import seeded

KIND = "text encoder"
DEPTH, HEADS = 2, 4
"""Blocks of a `WordEncoder` that is fitted here, and heads of their attention."""
WARMEST = 100.0
"""Largest factor of the cosines, as in CLIP."""


class WordEncoder(nn.Module):
    """A small transformer over words.

    Args:
        words: vocabulary, and number of positions M.
        width: channels of a hidden state, and of the pooled vector.
        depth: transformer blocks.
        heads: attention heads; they divide the width.

    Attributes:
        hash: SHA-256 of the file that it was read from; empty without one.
    """

    hash: str = ""

    def __init__(self, words: Words, width: int, *, depth: int, heads: int) -> None:
        super().__init__()
        self.words, self.width, self.depth, self.heads = words, width, depth, heads
        self.embedding = nn.Embedding(len(words), width)
        self.places = nn.Parameter(torch.zeros(words.positions, width))
        self.blocks = nn.ModuleList(_Block(width, heads) for _ in range(depth))
        self.norm = nn.LayerNorm(width)
        self.projection = nn.Linear(width, width, bias=False)
        nn.init.normal_(self.embedding.weight, std=0.1)
        nn.init.normal_(self.places, std=0.1)

    def forward(self, ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Map ids (B, M) to hidden states (B, M, width) and pooled vectors (B, width).

        Padding is seen as any word is. The vectors are means over the words and the end.
        """
        x = self.embedding(ids) + self.places
        for block in self.blocks:
            x = block(x)
        hidden = self.norm(x)
        shown = (ids != PAD).unsqueeze(2)
        mean = (hidden * shown).sum(1) / shown.sum(1)
        return hidden, self.projection(mean)

    @property
    def origin(self) -> Mapping[str, Any]:
        """Architecture, vocabulary and weights, as embeddings are bound to them."""
        return {**self._sizes(), "weights": self.hash}

    @torch.no_grad()
    def encode(self, texts: Sequence[str]) -> Encoded:
        """Encode texts; pooled vectors are normalised."""
        hidden, pooled = self(self.words.ids(texts).to(self.places.device))
        return Encoded(hidden, F.normalize(pooled, dim=1), self.words.cut(texts))

    def save(self, path: Path) -> None:
        """Write the encoder with its vocabulary."""
        about = {"kind": KIND, **self._sizes(), "vocabulary": list(self.words.vocabulary)}
        save_tensors(path, self.state_dict(), about=about)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read an encoder that `save` wrote.

        Raises:
            AdagenError: the file is missing, damaged, or of another kind.
        """
        with reading(path) as file:
            tensors, about = load_tensors(path, KIND)
        words = Words(about["vocabulary"], about["positions"])
        encoder = cls(words, about["width"], depth=about["depth"], heads=about["heads"])
        encoder.load_state_dict(tensors)
        encoder.hash = file.hash
        return encoder.eval().requires_grad_(False)

    def _sizes(self) -> dict[str, Any]:
        return {
            "name": "words",
            "words": list_hash(self.words.vocabulary),
            "positions": self.words.positions,
            "width": self.width,
            "depth": self.depth,
            "heads": self.heads,
        }


class _Block(nn.Module):
    """Pre-normalised transformer block."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attn = Attention(width, heads, qkv_bias=True)
        self.mlp = FeedForward(width, 4 * width, gelu="none")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, N, width) -> (B, N, width)."""
        x = x + self.attn(self.norm1(x))
        out: torch.Tensor = x + self.mlp(self.norm2(x))
        return out


class ContrastivePair(nn.Module):
    """A text encoder, and an image tower that it is learnt with.

    Args:
        encoder: the text encoder.
        channels: channels of the images.
        captions: the texts that labels number.
    """

    tokens: torch.Tensor

    def __init__(self, encoder: WordEncoder, channels: int, *, captions: Sequence[str]) -> None:
        super().__init__()
        self.encoder, width = encoder, encoder.width
        self.images = nn.Sequential(
            nn.Conv2d(channels, width // 2, 4, 2, padding=1),
            *_normalised(width // 2),
            nn.Conv2d(width // 2, width, 3, 2, padding=1),
            *_normalised(width),
            nn.Conv2d(width, 2 * width, 3, padding=1),
            *_normalised(2 * width),
            nn.AdaptiveAvgPool2d(2),  # by quarters, as captions say where things stand
            nn.Flatten(),
            nn.Linear(8 * width, width),
        )
        self.log_scale = nn.Parameter(torch.tensor(10.0).log())
        self.register_buffer("tokens", encoder.words.ids(captions), persistent=False)

    def similarities(self, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """(B, B') cosines of images (B, C, H, W) and captions (B',)."""
        _, pooled = self.encoder(self.tokens[labels])
        return F.normalize(self.images(images), dim=1) @ F.normalize(pooled, dim=1).T


def contrastive_loss(pair: ContrastivePair, batch: Batch) -> torch.Tensor:
    """CLIP's symmetric cross-entropy; images of equal captions share the target evenly."""
    scale = pair.log_scale.exp().clamp(max=WARMEST)
    logits = scale * pair.similarities(batch.images, batch.labels)
    same = (batch.labels.unsqueeze(0) == batch.labels.unsqueeze(1)).float()
    target = same / same.sum(1, keepdim=True)  # symmetric: both rows of a pair have equal sums
    return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2


def fit_text_encoder(
    captions: Sequence[str],
    data: Images,
    *,
    settings: Fit,
    positions: int = 16,
    width: int = 64,
    checkpoint: Path | None = None,
    device: torch.device = CPU,
) -> ContrastivePair:
    """Fit a text encoder of two blocks, with an image tower, to images and their captions.

    Args:
        captions: the texts that the labels of `data` number; their words are the vocabulary.
        data: images, labelled by their caption.
        settings: settings of the fit.
        positions: words of a text that are read, and its end.
        width: channels of hidden states and vectors.
        checkpoint: file of the resumable state; None to keep none.
        device: where they are fitted, and stay.
    """
    with seeded(KIND, settings.seed):
        encoder = WordEncoder(Words.of(captions, positions), width, depth=DEPTH, heads=HEADS)
        pair = ContrastivePair(encoder, data.images.shape[1], captions=captions)
    return fit(
        pair,
        contrastive_loss,
        data=data,
        settings=settings,
        name=KIND,
        checkpoint=checkpoint,
        device=device,
    )


def _normalised(channels: int) -> list[nn.Module]:
    """Group normalisation and GELU."""
    return [nn.GroupNorm(8, channels), nn.GELU()]


class OpenClipText:
    """The text tower of a network of open_clip: ViT-bigG-14 gives 77 states of 1280 channels.

    Args:
        clip: the network, with its weights.
        tokenizer: `open_clip.get_tokenizer` of its name; it pads with 0.
        name: name of the architecture.
        weights: SHA-256 of the file of the weights.
    """

    def __init__(self, clip: Any, tokenizer: Any, *, name: str, weights: str) -> None:
        self.clip, self.tokenizer, self.name, self.weights = clip, tokenizer, name, weights

    @property
    def origin(self) -> Mapping[str, Any]:
        """Architecture and weights, as embeddings are bound to them."""
        return {"name": f"open_clip {self.name}", "weights": self.weights}

    @torch.no_grad()
    def encode(self, texts: Sequence[str]) -> Encoded:
        """Encode texts: the states after the final normalisation, and the normalised vectors."""
        states: list[torch.Tensor] = []
        ids = self.tokenizer(list(texts))
        lengths = [len(self.tokenizer.encode(text)) + 2 for text in texts]  # begin and end
        norm = self.clip.ln_final
        hook = norm.register_forward_hook(lambda module, inputs, output: states.append(output))
        try:
            pooled = self.clip.encode_text(ids.to(self.clip.positional_embedding.device))
        finally:
            hook.remove()
        cut = (torch.tensor(lengths) - ids.shape[1]).clamp(min=0)
        return Encoded(states[0], F.normalize(pooled, dim=1), cut)

    def lost(self, text: str) -> str:
        """The end of a text that the network doesn't read, as the tokenizer writes it."""
        ids = self.tokenizer.encode(text)[self.tokenizer.context_length - 2 :]
        end: str = self.tokenizer.decode(ids)
        return end.strip()
