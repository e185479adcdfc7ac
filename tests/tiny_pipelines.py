"""Pipelines of diffusers with tiny networks of random weights."""

from typing import Any

import diffusers
import torch
import transformers

POSITIONS = 16
SCHEDULE = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
UNET: dict[str, Any] = {
    "sample_size": 8,
    "block_out_channels": (8, 16),
    "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
    "layers_per_block": 1,
    "norm_num_groups": 4,
    "attention_head_dim": 2,
    "cross_attention_dim": 16,
}
VAE: dict[str, Any] = {
    "block_out_channels": (4, 8),
    "down_block_types": ("DownEncoderBlock2D",) * 2,
    "up_block_types": ("UpDecoderBlock2D",) * 2,
    "layers_per_block": 1,
    "norm_num_groups": 4,
    "sample_size": 16,
}
TEXT_ENCODER: dict[str, Any] = {
    "vocab_size": 54,
    "hidden_size": 16,
    "intermediate_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "max_position_embeddings": POSITIONS,
    "projection_dim": 16,
    "bos_token_id": 52,
    "eos_token_id": 53,
    "pad_token_id": 53,
}


def tokenizer() -> Any:
    """A tokenizer that spells."""
    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    words = [*letters, *(f"{letter}</w>" for letter in letters)]
    vocabulary = {word: k for k, word in enumerate([*words, "<|startoftext|>", "<|endoftext|>"])}
    return transformers.CLIPTokenizer(
        vocab=vocabulary, merges=[], pad_token="<|endoftext|>", model_max_length=POSITIONS
    )


def text_encoder(kind: Any = transformers.CLIPTextModel) -> Any:
    return kind(transformers.CLIPTextConfig(**TEXT_ENCODER)).eval()


def stable_diffusion(prediction: str = "epsilon", **unet: Any) -> diffusers.StableDiffusionPipeline:
    torch.manual_seed(0)
    pipeline = diffusers.StableDiffusionPipeline(
        vae=diffusers.AutoencoderKL(**VAE),
        text_encoder=text_encoder(),
        tokenizer=tokenizer(),
        unet=diffusers.UNet2DConditionModel(**{**UNET, **unet}),
        scheduler=diffusers.DDIMScheduler(
            prediction_type=prediction, clip_sample=False, steps_offset=1, **SCHEDULE
        ),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def sdxl_components() -> dict[str, Any]:
    torch.manual_seed(0)
    unet = diffusers.UNet2DConditionModel(
        **{
            **UNET,
            "cross_attention_dim": 32,  # of both encoders
            "addition_embed_type": "text_time",
            "addition_time_embed_dim": 4,
            "projection_class_embeddings_input_dim": 6 * 4 + 16,
        }
    )
    return {
        "vae": diffusers.AutoencoderKL(**VAE),
        "text_encoder": transformers.CLIPTextModel(
            transformers.CLIPTextConfig(**TEXT_ENCODER)
        ).eval(),
        "text_encoder_2": transformers.CLIPTextModelWithProjection(
            transformers.CLIPTextConfig(**TEXT_ENCODER)
        ).eval(),
        "tokenizer": tokenizer(),
        "tokenizer_2": tokenizer(),
        "unet": unet,
        "scheduler": diffusers.EulerDiscreteScheduler(**SCHEDULE),
    }


def modular_sdxl() -> diffusers.StableDiffusionXLModularPipeline:
    from diffusers.modular_pipelines import StableDiffusionXLAutoBlocks

    pipeline = StableDiffusionXLAutoBlocks().init_pipeline()
    pipeline.update_components(**sdxl_components())
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def dit() -> diffusers.DiTPipeline:
    torch.manual_seed(0)
    transformer = diffusers.DiTTransformer2DModel(
        num_attention_heads=2,
        attention_head_dim=8,
        in_channels=4,
        out_channels=8,
        num_layers=2,
        sample_size=4,
        patch_size=2,
        num_embeds_ada_norm=1000,
        norm_num_groups=4,
    )
    for parameter in transformer.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    pipeline = diffusers.DiTPipeline(
        transformer=transformer.eval(),  # in training it drops labels
        vae=diffusers.AutoencoderKL(**VAE),
        scheduler=diffusers.DDIMScheduler(),
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline
