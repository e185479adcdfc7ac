"""Prompts as conditions, embedded by a pipeline's own tokenizer and text encoder."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import diffusers
import torch
from torch.nn import functional as F
from torch.utils.hooks import RemovableHandle

from adagen.data.captions.table import CaptionTable
from adagen.generators.conditions import Conditions, tell_cut
from adagen.runtime.errors import AdagenError

BATCH = 1024
"""Prompts that are split into tokens at once."""
RECENT = 3
"""Batches whose embeddings are kept: a sample asks for its own at every step."""

Encoded = tuple[torch.Tensor, torch.Tensor]
"""Hidden states (B, positions, width), and vectors (B, width) of length 1."""


class PromptConditions(Conditions):
    """Prompts as tokens, which the text encoder embeds when they are asked for.

    That takes a thousandth of the time in which their images are made; the embeddings of ten
    thousand prompts would take two gigabytes. The null is the empty prompt.

    Args:
        count: number of prompts.
        positions: tokens of a prompt, with those that pad it.
        encoder: the text encoder.
        folder: folder of the pipeline, whose tokenizer reads prompts.

    Attributes:
        tokens: (N + 1, positions) int64; the last are those of the empty prompt.
        trained: (N,) bool, whether training draws a prompt.
        turn: (N,) int64, prompts that reported samples show, in their order; -1 after the last.
    """

    tokens: torch.Tensor
    trained: torch.Tensor
    turn: torch.Tensor

    def __init__(self, count: int, positions: int, *, encoder: Any, folder: Path) -> None:
        super().__init__()
        self.count, self.folder = count, folder
        self.encoder = encoder
        self.register_buffer("tokens", torch.zeros(count + 1, positions, dtype=torch.long))
        self.register_buffer("trained", torch.ones(count, dtype=torch.bool))
        self.register_buffer("turn", torch.arange(count))
        self._recent: list[tuple[torch.Tensor, Encoded]] = []

    def read(self, prompts: Sequence[str], table: CaptionTable | None = None) -> None:
        """Fill the table by N prompts.

        Args:
            prompts: texts; longer ones than the encoder reads are cut, with a warning.
            table: captions of the data set, where they are; it says which are for training, and
                which are reported.

        Raises:
            AdagenError: their number differs, transformers is not installed, or the folder has no
                tokenizer.
        """
        if len(prompts) != self.count:
            raise AdagenError(
                f"there are {len(prompts)} prompts for {self.count} labels: give a class name or a "
                "caption for each label."
            )
        self.tokens.copy_(_tokens(self.folder, [*prompts, ""], positions=self.tokens.shape[1]))
        self._recent = []
        if table is not None:
            self.trained.copy_(torch.arange(self.count) < table.train)
            self.turn.fill_(-1)
            self.turn[: len(table.reported)] = table.reported.to(self.turn.device)

    def __len__(self) -> int:
        return self.count

    def forward(self, labels: torch.Tensor) -> torch.Tensor:
        """Return the hidden states (B, positions, width) of labels (B,)."""
        return self._encoded(labels)[0]

    def vectors(self, labels: torch.Tensor) -> torch.Tensor:
        """Return the normalised vectors (B, width) of labels (B,)."""
        return self._encoded(labels)[1]

    @property
    def vector_width(self) -> int:
        """Channels of the text encoder."""
        return int(self.encoder.config.hidden_size)

    def draw(self, n: int, generator: torch.Generator) -> torch.Tensor:
        """Draw prompts (n,) for training, all equally likely."""
        rows = self.trained.cpu().nonzero().squeeze(1)
        return rows[torch.randint(len(rows), (n,), generator=generator)]

    def in_turn(self, n: int) -> torch.Tensor:
        """Return reported prompt i mod R of sample i."""
        rows = self.turn.cpu()
        rows = rows[rows >= 0]
        return rows[torch.arange(n) % len(rows)]

    def of_texts(self, texts: Sequence[str]) -> "PromptConditions":
        """Return a table of other prompts.

        Raises:
            AdagenError: the pipeline's folder is gone.
        """
        with torch.device(self.tokens.device):
            table = PromptConditions(
                len(texts), self.tokens.shape[1], encoder=self.encoder, folder=self.folder
            )
        table.read(texts)
        return table

    @torch.no_grad()
    def _encoded(self, labels: torch.Tensor) -> Encoded:
        """The embeddings of labels (B,), in float32."""
        if labels.is_meta:  # where nothing is equal, and nothing computed
            output = self.encoder(self.tokens[labels])
            return output.last_hidden_state, output.pooler_output
        for known, encoded in self._recent:
            if known.shape == labels.shape and known.equal(labels):
                return encoded
        with torch.autocast(labels.device.type, enabled=False):
            output = self.encoder(self.tokens[labels])
        hidden, pooled = output.last_hidden_state.float(), output.pooler_output.float()
        encoded = hidden, F.normalize(pooled, dim=1)
        self._recent = [(labels.clone(), encoded), *self._recent][:RECENT]
        return encoded


def text_encoder(settings: dict[str, Any]) -> Any:
    """Build an untrained text encoder: that of Stable Diffusion 1.x, but for some settings.

    Raises:
        AdagenError: transformers is not installed.
    """
    transformers = _transformers()
    config = {**TEXT_ENCODER, **settings}
    return transformers.CLIPTextModel(transformers.CLIPTextConfig(**config))


TEXT_ENCODER = {
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "projection_dim": 768,
}
"""Settings of the text encoder of Stable Diffusion 1.x."""


def clip_skip_hook(pipeline: Any) -> RemovableHandle | None:
    """Have a StableDiffusionPipeline's `clip_skip` refused where diffusers can't serve it.

    Up to 0.42.1, the newest that was tried, it looks for `text_encoder.text_model`, which text
    encoders of transformers 5 no longer have.

    Args:
        pipeline: the pipeline.

    Returns:
        The handle of a hook on the text encoder; None where `clip_skip` works, or doesn't exist.
    """
    encoder = getattr(pipeline, "text_encoder", None)
    # That of SDXL always asks for hidden states, and never for `text_model`.
    is_plain = isinstance(pipeline, diffusers.StableDiffusionPipeline)
    if not is_plain or encoder is None or hasattr(encoder, "text_model"):
        return None

    def refuse(encoder: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if kwargs.get("output_hidden_states"):
            raise AdagenError(
                f"clip_skip can't be used with diffusers {diffusers.__version__} and transformers "
                f"{_transformers().__version__}: the pipeline looks for text_encoder.text_model, "
                "which transformers 5 no longer has. Leave clip_skip out, install "
                "'transformers<5', or give prompt_embeds and negative_prompt_embeds, made before "
                "the policy is put in, of text_encoder(..., output_hidden_states=True)"
                ".hidden_states[-(clip_skip + 1)] by text_encoder.final_layer_norm."
            )

    return cast(RemovableHandle, encoder.register_forward_pre_hook(refuse, with_kwargs=True))


def _tokens(folder: Path, prompts: Sequence[str], *, positions: int) -> torch.Tensor:
    """(P, positions) tokens of prompts, by the tokenizer in a pipeline's folder."""
    place = folder / "tokenizer"
    # Transformers would look on the web for a folder that is missing, and take an empty one.
    if not any((place / name).is_file() for name in ("tokenizer.json", "vocab.json")):
        raise AdagenError(
            f"{place} has no tokenizer, by which prompts are read: put the whole folder of the "
            "pipeline there, or start the program in the folder that the path belongs to."
        )
    try:
        tokenizer = _transformers().CLIPTokenizer.from_pretrained(place, local_files_only=True)
    except (OSError, ValueError) as error:
        raise AdagenError(
            f"{place} can't be read ({' '.join(str(error).split())[:200]}): give the generator's "
            "key model the whole folder of a pipeline."
        ) from None
    found: list[list[int]] = []
    cut: list[str] = []
    for start in range(0, len(prompts), BATCH):
        texts = list(prompts[start : start + BATCH])
        cut += _cut(texts, tokenizer, positions)
        found += tokenizer(
            texts, padding="max_length", max_length=positions, truncation=True
        ).input_ids
    tell_cut(cut)
    return torch.tensor(found)


def _cut(prompts: Sequence[str], tokenizer: Any, positions: int) -> list[str]:
    """Say of each prompt that is too long which end of it is not read."""
    cut = []
    found = tokenizer(list(prompts), add_special_tokens=False, verbose=False).input_ids
    for prompt, ids in zip(prompts, found, strict=True):
        if len(ids) > positions - 2:  # with one for the start, and one for the end
            lost = tokenizer.decode(ids[positions - 2 :]).strip()
            cut.append(
                f"prompt {prompt[:60]!r} is longer than the text encoder reads: its end, "
                f"{lost[:100]!r}, is cut off"
            )
    return cut


def _transformers() -> Any:
    try:
        import transformers
    except ImportError:
        raise AdagenError(
            "transformers is not installed, which has the text encoder of Stable Diffusion: "
            "pip install 'adagen[diffusers]'."
        ) from None
    return transformers
