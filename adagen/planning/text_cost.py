"""The cost of what captions take: their embeddings, a CLIP score, and alignment with prompts."""

from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import torch
from torch import nn

from adagen.config import AestheticPreference, ClipPreference, ClipText, Config, Text
from adagen.config.runs import prompted_runs
from adagen.data.captions.embeddings import BATCH
from adagen.data.captions.prompts import read_prompts
from adagen.data.captions.words import Words
from adagen.evaluation.aligned import REAL
from adagen.evaluation.alignment import CHECKED, SceneNetwork
from adagen.networks.text_encoder import DEPTH, HEADS, ContrastivePair, WordEncoder
from adagen.planning.counting import META, Count, count, on_meta, weight_bytes
from adagen.planning.image_counts import Images
from adagen.planning.jobs import Job, fitting
from adagen.planning.network_cost import CLIP_FLOPS

TOWERS = {
    "ViT-B-32": (512, 12, 352e6),
    "ViT-L-14": (768, 12, 1.22e9),
    "ViT-L-14-quickgelu": (768, 12, 1.22e9),
    "ViT-bigG-14": (1280, 32, 7.4e9),
}
"""Width and blocks of CLIP's text towers, and bytes of the image towers, as open_clip describes
them. Others count as ViT-B/32."""
TOKENS, WORDS = 77, 49_408
"""Tokens of a text and of the vocabulary in all of them."""
ALIVE = 12
"""Numbers of a position and channel that live at once in a block of a transformer."""
N = 8
"""Images that are counted at once."""


class TextCost:
    """The jobs that a configuration has because of captions; none where its images have classes."""

    def __init__(self, config: Config, images: Images) -> None:
        self.config, self.images = config, images

    def embedding(self) -> Iterator[Job]:
        """A job for each text encoder: fitted where it is a small one, and read every caption."""
        seen: list[Text | ClipText] = []
        for name, generator in self.config.generators.items():
            text: Text | ClipText | None = getattr(generator, "text", None)
            if text is None or text in seen:  # generators may share one
                continue
            seen.append(text)
            yield (
                self._released(name, text) if isinstance(text, ClipText) else self._own(name, text)
            )

    def _released(self, name: str, text: ClipText) -> Job:
        """Every caption read by a released text tower; hidden states in half precision."""
        _, depth, _ = TOWERS.get(text.model, TOWERS["ViT-B-32"])
        state = text.positions * text.width
        return Job(
            "embed",
            name,
            other=self.images.classes * text_flops(text.positions, text.width, depth=depth),
            memory=text_weights(text.width, depth) + BATCH * 4 * ALIVE * state,
            disk=(self.images.classes + 1) * (2 * state + 4 * text.vectors + 8),
        )

    def _own(self, name: str, text: Text) -> Job:
        """A small text encoder learnt with an image tower, whose words are next to no work."""
        channels, *_ = self.images.shape
        labels = torch.zeros(N, dtype=torch.long, device=META)
        pictures = torch.empty(N, *self.images.shape, device=META)
        with on_meta(), torch.no_grad():
            encoder = WordEncoder(Words([], text.positions), text.width, depth=DEPTH, heads=HEADS)
            pair = ContrastivePair(encoder, channels, captions=[""])
            both = count(lambda: pair.similarities(pictures, labels), N, pair)
            reading = count(lambda: encoder(pair.tokens[labels]), N, encoder)
        fitted = fitting("embed", name, size=weight_bytes(pair), fits=[(text.fit, both)])
        stored = (self.images.classes + 1) * (4 * (text.positions + 1) * text.width + 8)
        return replace(
            fitted,
            other=fitted.other + self.images.classes * reading.flops,
            disk=weight_bytes(encoder) + stored,
        )

    def judges(self) -> Iterator[Job]:
        """The networks that only judge images with captions: a CLIP, and that of alignment."""
        if scored := self.config.evaluation.clip_score:
            yield self._clip("clip_score", scored.model)
        if alignment := self.config.evaluation.alignment:
            forward, size = self._scenes
            job = fitting("pretrain", "alignment", size=size, fits=[(alignment.fit, forward)])
            yield replace(job, other=job.other + 2 * CHECKED * forward.flops)

    def preference(self) -> Job:
        """A released CLIP that rewards, with or without the texts of what images shall show."""
        settings = self.config.preference
        if isinstance(settings, AestheticPreference):
            _, _, tower = TOWERS.get(settings.model, TOWERS["ViT-B-32"])
            return Job("pretrain", "preference", memory=tower, disk=tower)
        assert isinstance(settings, ClipPreference)
        return self._clip("preference", settings.model)

    def _clip(self, part: str, model: str) -> Job:
        """An image tower taken over, and the texts of all labels read by the other."""
        width, depth, tower = TOWERS.get(model, TOWERS["ViT-B-32"])
        return Job(
            "pretrain",
            part,
            other=self.images.classes * text_flops(TOKENS, width, depth=depth),
            memory=tower + text_weights(width, depth),
            disk=tower + 4 * self.images.classes * width,
        )

    @property
    def score_flops(self) -> float:
        """FLOPs of the CLIP score of an image; 0 where there is none."""
        scored = self.config.evaluation.clip_score
        return CLIP_FLOPS.get(scored.model, CLIP_FLOPS["ViT-B-32"]) if scored else 0.0

    @cached_property
    def prompted(self) -> int:
        """Images of prompts that a sampling seed draws.

        Raises:
            AdagenError: the file of prompts is missing, or has none.
        """
        alignment = self.config.evaluation.alignment
        if alignment is None:
            return 0
        prompts = read_prompts(Path(alignment.prompts), "key 'evaluation.alignment.prompts':")
        return alignment.images * len(prompts)

    def aligning(self) -> Iterator[Job]:
        """The job that asks what all samples of prompts, and some real images, show."""
        if runs := prompted_runs(self.config):
            forward, _ = self._scenes
            images = REAL + len(runs) * self.prompted * len(self.config.evaluation.seeds)
            yield Job("align", images=images, other=images * forward.flops)

    @cached_property
    def _scenes(self) -> tuple[Count, float]:
        """A forward pass of the network that judges alignment, and the bytes of its weights."""
        pictures = torch.empty(N, *self.images.shape, device=META)
        with on_meta():
            network: nn.Module = SceneNetwork()
        with torch.no_grad():
            return count(lambda: network(pictures), N, network), weight_bytes(network)


def text_flops(positions: int, width: int, *, depth: int) -> float:
    """FLOPs of a transformer for one text: its linear layers, and the products of attention."""
    return float(depth * positions * (24 * width**2 + 4 * positions * width))


def text_weights(width: int, depth: int) -> float:
    """Bytes of a text tower of CLIP, in float32."""
    return 4.0 * (12 * depth * width**2 + WORDS * width)
