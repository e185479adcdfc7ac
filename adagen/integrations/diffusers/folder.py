"""The folder of a pipeline: what is read of it, from safetensors alone."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from diffusers import DDIMScheduler
from safetensors import SafetensorError
from torch import nn

from adagen.runtime.documents import read_json
from adagen.runtime.errors import AdagenError

CLASS = "StableDiffusionPipeline"


def read_networks(
    folder: Path,
    networks: Mapping[str, nn.Module],
    *,
    schedule: torch.Tensor,
    prediction: str,
) -> None:
    """Fill networks and noise schedule from the folder of a pipeline.

    Args:
        folder: the pipeline's folder.
        networks: networks of diffusers and transformers by the names of their subfolders.
        schedule: (N,) alpha^2, to be overwritten.
        prediction: what the UNet must predict.

    Raises:
        AdagenError: it is no folder of Stable Diffusion, holds other networks than the settings
            describe, or pickled files alone.
    """
    _require_stable_diffusion(folder)
    try:
        scheduler = DDIMScheduler.from_pretrained(
            folder, subfolder="scheduler", local_files_only=True
        )
    except (OSError, ValueError, NotImplementedError) as error:
        raise AdagenError(_unreadable(folder / "scheduler", error)) from None
    if len(scheduler.alphas_cumprod) != len(schedule):
        raise AdagenError(
            f"{folder / 'scheduler'} has {len(scheduler.alphas_cumprod)} training steps, but "
            f"Stable Diffusion has {len(schedule)}: give the folder of such a model."
        )
    if (found := scheduler.config.prediction_type) != prediction:
        raise AdagenError(
            f"{folder} predicts {found!r}, but the generator's key prediction says "
            f"{prediction!r}: correct the key. Supported are epsilon and v_prediction."
        )
    for name, network in networks.items():
        _fill(network, folder, name)
    schedule.copy_(scheduler.alphas_cumprod)


def _require_stable_diffusion(folder: Path) -> None:
    try:
        index = read_json(folder / "model_index.json")
        found = index["_class_name"]
    except (OSError, AdagenError, LookupError, TypeError):
        raise AdagenError(
            f"{folder} is no folder of a pipeline: it has no readable model_index.json. Give "
            "the generator's key model a folder that `save_pretrained` of diffusers wrote, or that "
            "was downloaded as a whole."
        ) from None
    if found != CLASS:
        raise AdagenError(
            f"{folder} holds a {found}, but a {CLASS} is expected: networks of Stable Diffusion "
            "1.x and 2.x, with one text encoder. Others, such as SDXL, have inputs that this "
            "generator doesn't give."
        )


def _fill(network: nn.Module, folder: Path, name: str) -> None:
    """Give a network the values in its subfolder."""
    kind: Any = type(network)
    try:
        tensors = kind.from_pretrained(
            folder, subfolder=name, use_safetensors=True, local_files_only=True
        ).state_dict()
    except (OSError, ValueError, SafetensorError) as error:
        raise AdagenError(
            f"{_unreadable(folder / name, error)} Weights are read from safetensors alone: convert "
            "others by loading the pipeline in diffusers and saving it again."
        ) from None
    found, built = ({k: tuple(v.shape) for k, v in t.items()} for t in (tensors, _state(network)))
    if found != built:
        key = next(k for k in [*built, *found] if found.get(k) != built.get(k))
        raise AdagenError(
            f"{folder / name} holds another network than the settings describe: {key} is "
            f"{found.get(key, 'missing')} there and {built.get(key, 'missing')} here. Give the "
            f"generator's key {name} what {folder / name / 'config.json'} says."
        )
    network.load_state_dict(tensors)


def _unreadable(folder: Path, error: Exception) -> str:
    reason = " ".join(str(error).split())[:200]
    return f"{folder} is missing or damaged ({reason}): restore the folder of the pipeline."


def _state(network: nn.Module) -> Mapping[str, torch.Tensor]:
    state: Mapping[str, torch.Tensor] = network.state_dict()
    return state
