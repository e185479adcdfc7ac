"""VAR's tokeniser."""

import pytest
import torch
import torch.nn.functional as F

from adagen.networks.autoencoder import nearest_code
from adagen.networks.var import VAR
from adagen.networks.vqvae import COMMITMENT, MultiScaleVQVAE


@pytest.fixture
def tiny() -> MultiScaleVQVAE:
    """8x8 grey images, no downsampling."""
    torch.manual_seed(0)
    return MultiScaleVQVAE(
        (1, 2, 4, 8), 64, code_channels=8, width=32, channel_multipliers=(1,), image_channels=1
    )


@pytest.fixture
def images() -> torch.Tensor:
    """(5, 1, 8, 8) in [-1, 1]."""
    return torch.rand(5, 1, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1


def test_ids_reproduce_the_map(tiny: MultiScaleVQVAE, images: torch.Tensor) -> None:
    """Embedding and adding up the ids of every scale, as a generator does, gives f_hat."""
    with torch.no_grad():
        f = tiny.encode(images)
        quantised = tiny.quantise(f)
        f_hat, inputs = torch.zeros_like(f), []
        for index, ids in enumerate(quantised.ids):
            assert ids.shape == (5, tiny.scales[index] ** 2)
            f_hat = tiny.accumulate(f_hat, tiny.embed(ids), index=index)
            if index + 1 < len(tiny.scales):
                inputs.append(tiny.next_input(f_hat, index).flatten(2).mT)
    torch.testing.assert_close(quantised.f_hat, f_hat, atol=1e-6, rtol=0)
    torch.testing.assert_close(quantised.inputs, torch.cat(inputs, 1))


def test_inputs_are_what_the_transformer_reads(tiny: MultiScaleVQVAE, images: torch.Tensor) -> None:
    """The two halves of VAR fit together."""
    transformer = VAR(tiny.scales, 64, code_channels=8, classes=10, width=16, depth=1, heads=2)
    quantised = tiny.quantise(tiny.encode(images))
    logits = transformer(torch.zeros(5).long(), quantised.inputs)
    loss = F.cross_entropy(logits.flatten(0, 1), torch.cat(quantised.ids, 1).flatten())
    assert torch.isfinite(loss)


def test_every_vector_gets_its_nearest_code(tiny: MultiScaleVQVAE) -> None:
    """Against the distances written out."""
    vectors = torch.randn(3, 7, 8, generator=torch.Generator().manual_seed(0))
    codes = tiny.quantize.embedding.weight
    distances = torch.cdist(vectors, codes)
    assert torch.equal(nearest_code(vectors, codes), distances.argmin(-1))


def test_loss_of_a_single_scale_by_hand() -> None:
    """Two scales, the second seeing what the first left: both terms written out."""
    torch.manual_seed(0)
    network = MultiScaleVQVAE((1, 2), 4, code_channels=3, width=32, channel_multipliers=(1,))
    f = torch.randn(2, 3, 2, 2, generator=torch.Generator().manual_seed(1))
    quantised = network.quantise(f)
    first = network.accumulate(torch.zeros_like(f), network.embed(quantised.ids[0]), index=0)
    second = network.accumulate(first, network.embed(quantised.ids[1]), index=1)
    distance = ((first - f).square().mean() + (second - f).square().mean()) / 2
    torch.testing.assert_close(quantised.loss, (1 + COMMITMENT) * distance)


def test_gradients_reach_encoder_codes_and_convolutions(
    tiny: MultiScaleVQVAE, images: torch.Tensor
) -> None:
    """The reconstruction reaches the encoder straight through; the loss reaches codes and phi."""
    reconstruction, _ = tiny(images)
    reconstruction.square().mean().backward()
    assert tiny.encoder.conv_in.weight.grad is not None
    assert tiny.quantize.embedding.weight.grad is None
    tiny(images)[1].backward()
    assert all(parameter.grad is not None for parameter in tiny.parameters())


def test_images_stay_in_range_and_a_level_halves_the_side() -> None:
    """16x16 images, one downsampling, 8x8 maps."""
    torch.manual_seed(0)
    network = MultiScaleVQVAE(
        (1, 2, 4, 8), 16, code_channels=4, width=32, channel_multipliers=(1, 2), residual_blocks=1
    )
    f = network.encode(torch.zeros(2, 3, 16, 16))
    assert f.shape == (2, 4, 8, 8)
    image = network.decode(50 * torch.randn(2, 4, 8, 8))
    assert image.shape == (2, 3, 16, 16)
    assert image.abs().max() <= 1


def test_fresh_codebook_is_used(tiny: MultiScaleVQVAE) -> None:
    """Codes start as large as what they must describe, so none is out of reach from the start."""
    images = torch.rand(64, 1, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1
    with torch.no_grad():
        ids = torch.cat(tiny.quantise(tiny.encode(images)).ids, 1)
    assert len(ids.unique()) > 48
