"""The network of DiT (Peebles and Xie, 2023) and SiT (Ma et al., 2024).

It is a transformer over patches, conditioned on time and class by AdaLN. The two families share
all keys; they differ in the meaning of the output, which is noise or velocity.
"""

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import nn

from adagen.networks.layers import Attention, Block, FeedForward, adaptive_norm, gated

FREQUENCIES = 128
"""Number of sine-cosine pairs that encode the time."""


class ConditionalDiT(nn.Module):
    """Diffusion transformer, given any condition.

    Args:
        input_size: side of the image or latent; a multiple of `patch`.
        patch: side of a patch.
        channels: channels of the image or latent.
        embed: makes the module that maps a condition to vectors (B, width), of the width.
        width: channels of a token; a multiple of 4.
        depth: number of blocks.
        heads: attention heads; they divide the width.
        learn_sigma: whether the output has a second set of channels, a variance that is unused
            here.
    """

    def __init__(
        self,
        input_size: int,
        patch: int,
        *,
        channels: int,
        embed: Callable[[int], nn.Module],
        width: int,
        depth: int,
        heads: int,
        learn_sigma: bool,
    ) -> None:
        super().__init__()
        self.width = width
        self.patch = patch
        self.grid = input_size // patch
        self.x_embedder = _PatchEmbedding(channels, width, patch=patch)
        self.t_embedder = _TimeEmbedding(width)
        self.y_embedder = embed(width)
        # It is never trained and could be derived, but released files contain it.
        positions = torch.empty(1, self.grid**2, width)
        self.pos_embed = nn.Parameter(positions, requires_grad=False)
        self.blocks = nn.ModuleList(_Block(width, heads) for _ in range(depth))
        self.final_layer = _Output(width, patch**2 * channels * (1 + learn_sigma))
        self._initialise()

    def forward(
        self, x: torch.Tensor, time: torch.Tensor, condition: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Predict noise (DiT) or velocity (SiT).

        Args:
            x: (B, C, H, W) noisy images or latents.
            time: (B,) float in the network's units: 0..1000 for DiT, 0..1 for SiT.
            condition: as the subclass says.

        Returns:
            The prediction (B, C, H, W), or (B, 2C, H, W) with `learn_sigma`, and features
            (B, N, width): the tokens after the last block.
        """
        vector = self.t_embedder(time) + self.y_embedder(condition)
        tokens = self.begin(self.x_embedder(x) + self.pos_embed, condition)
        for block in self.blocks:
            tokens = block(tokens, vector)
        tokens = tokens[:, -(self.grid**2) :]
        return self._unpatchify(self.final_layer(tokens, vector)), tokens

    def begin(self, tokens: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:
        """Return the tokens (B, N, width) of the image, after those of the condition, if any."""
        return tokens

    def derived(self) -> dict[str, torch.Tensor]:
        """The stored tensors that follow from the constructor's arguments, by key."""
        return {"pos_embed": grid_embedding(self.grid, self.width)}

    def _unpatchify(self, tokens: torch.Tensor) -> torch.Tensor:
        """(B, grid^2, patch^2 C) -> (B, C, grid patch, grid patch)."""
        # (B, row, column, row in patch, column in patch, C)
        cells = tokens.view(len(tokens), self.grid, self.grid, self.patch, self.patch, -1)
        return cells.permute(0, 5, 1, 3, 2, 4).flatten(4).flatten(2, 3)

    def _initialise(self) -> None:
        """AdaLN-zero: at first every block is the identity, and the prediction is zero."""
        for name, parameter in self.named_parameters():
            if name == "pos_embed":
                parameter.data.copy_(grid_embedding(self.grid, self.width))
            elif name.endswith("bias") or "adaLN" in name or name == "final_layer.linear.weight":
                nn.init.zeros_(parameter)
            elif name.startswith(("y_embedder", "t_embedder")):
                nn.init.normal_(parameter, std=0.02)
            else:  # a convolution over patches is a linear layer over flattened ones
                nn.init.xavier_uniform_(parameter.data.flatten(1))


class DiT(ConditionalDiT):
    """The class-conditional network; a condition is a label (B,) int64 in 0..classes.

    Args:
        classes: number of classes; the label `classes` is the null class.
        input_size, patch, channels, width, depth, heads, learn_sigma: as of `ConditionalDiT`.
    """

    def __init__(
        self,
        input_size: int,
        patch: int,
        *,
        channels: int,
        classes: int,
        width: int,
        depth: int,
        heads: int,
        learn_sigma: bool,
    ) -> None:
        super().__init__(
            input_size,
            patch,
            channels=channels,
            embed=partial(_LabelEmbedding, classes),
            width=width,
            depth=depth,
            heads=heads,
            learn_sigma=learn_sigma,
        )


def grid_embedding(side: int, width: int) -> torch.Tensor:
    """Sine-cosine position embedding (1, side^2, width) of a square grid, row-major.

    The first half of the channels encodes the column and the second half the row. Within each half
    sines precede cosines, at frequencies 10000^(-j / (width / 4)). It is made on the CPU: the first
    power on the `meta` device makes torch import its compiler, which takes a second and a half.
    """
    quarter = width // 4
    with torch.device("cpu"):
        frequencies = 10000.0 ** -(torch.arange(quarter, dtype=torch.float64) / quarter)
        angles = torch.outer(torch.arange(side, dtype=torch.float64), frequencies)
    axis = torch.cat([angles.sin(), angles.cos()], 1)
    columns = axis.expand(side, side, -1)
    return torch.cat([columns, columns.transpose(0, 1)], 2).reshape(1, side**2, width).float()


class _PatchEmbedding(nn.Module):
    """Maps an image to one token for each patch, row-major."""

    def __init__(self, channels: int, width: int, *, patch: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(channels, width, patch, patch)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W) -> (B, N, width)."""
        out: torch.Tensor = self.proj(x)
        # Contiguous, as every block would add to it in the layout of the convolution otherwise,
        # and every norm would copy it.
        return out.flatten(2).mT.contiguous()


class _TimeEmbedding(nn.Module):
    """Maps a time to a vector: cosines, then sines, then two dense layers."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.mlp = nn.Sequential(
            nn.Linear(2 * FREQUENCIES, width), nn.SiLU(), nn.Linear(width, width)
        )

    def forward(self, time: torch.Tensor) -> torch.Tensor:
        """(B,) -> (B, width)."""
        exponents = torch.arange(FREQUENCIES, dtype=torch.float32, device=time.device)
        angles = torch.outer(time, torch.exp(-math.log(10000) * exponents / FREQUENCIES))
        out: torch.Tensor = self.mlp(torch.cat([angles.cos(), angles.sin()], 1))
        return out


class _LabelEmbedding(nn.Module):
    """Maps a class, or the null class, to a vector."""

    def __init__(self, classes: int, width: int) -> None:
        super().__init__()
        self.embedding_table = nn.Embedding(classes + 1, width)

    def forward(self, labels: torch.Tensor) -> torch.Tensor:
        """(B,) -> (B, width)."""
        out: torch.Tensor = self.embedding_table(labels)
        return out


class _Block(Block):
    """Transformer block whose norms and residual gates depend on the condition."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.attn = Attention(width, heads, qkv_bias=True)
        self.mlp = FeedForward(width, 4 * width, gelu="tanh")
        self.adaLN_modulation = _modulation(width, 6)

    def forward(self, x: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:
        """(B, N, width) and (B, width) -> (B, N, width)."""
        shift1, scale1, gate1, shift2, scale2, gate2 = self.adaLN_modulation(condition).chunk(6, 1)
        x = gated(x, gate1, branch=self.attn(adaptive_norm(x, shift1, scale=scale1)))
        return gated(x, gate2, branch=self.mlp(adaptive_norm(x, shift2, scale=scale2)))


class _Output(nn.Module):
    """Maps tokens to flattened patches."""

    def __init__(self, width: int, out: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, out)
        self.adaLN_modulation = _modulation(width, 2)

    def forward(self, x: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:
        """(B, N, width) and (B, width) -> (B, N, out)."""
        shift, scale = self.adaLN_modulation(condition).chunk(2, 1)
        out: torch.Tensor = self.linear(adaptive_norm(x, shift, scale=scale))
        return out


def _modulation(width: int, parts: int) -> nn.Sequential:
    """Maps a condition (B, width) to shifts, scales and gates of AdaLN, (B, parts * width)."""
    return nn.Sequential(nn.SiLU(), nn.Linear(width, parts * width))
