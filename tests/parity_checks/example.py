"""A folder in the goldens' format with sizes of its own, whose numbers adagen computed itself.

It proves nothing about the authors' code. It shows that checks take every size from the folder, and
that they notice a number that was changed.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from . import checks, networks, recipe
from .driving import policy_weights
from .folder import Folder

SEED = 5
GAINS: dict[str, list[Any]] = {
    "dit": [["y_embedder", 8.0], ["final_layer.linear", 0.7]],
    "maskgit": [["mlm_layer.fc", 1.5], ["word_embeddings", 3.0]],
    "var": [["class_emb", 8.0], ["lvl_embed", 4.0], ["head.weight", 2.5]],
    "vae": [["quantize.embedding", 3.0]],
}
DIT = {
    "input_size": 32,  # policies look at 16x16 positions
    "patch_size": 2,
    "in_channels": 4,
    "num_classes": 7,
    "learn_sigma": True,
    "hidden_size": 16,
    "depth": 1,
    "num_heads": 2,
}
UVIT = {
    "img_size": 16,
    "codebook_size": 24,
    "num_classes": 6,
    "embed_dim": 32,
    "depth": 2,
    "num_heads": 2,
    "mlp_ratio": 2,
}
VAR = {
    "patch_nums": [1, 2, 4],
    "V": 24,
    "Cvae": 8,
    "num_classes": 7,
    "embed_dim": 16,
    "depth": 1,
    "num_heads": 2,
}
VAE = {"vocab_size": 24, "z_channels": 8, "ch": 32, "patch_nums": [1, 2, 4], "share_quant_resi": 4}
SOLVER_KEYS = ["timesteps", "manual_cfg"]
MASKGIT_KEYS = ["manual_gen_ratios", "manual_temp", "manual_samp_temp", "manual_cfg"]
Content = tuple[str, dict[str, Any], dict[str, torch.Tensor]]
"""Name, meta, arrays: inputs, and zeros where a result belongs."""


def write_example(path: Path) -> None:
    """Write the inputs, run every check, and write what it found in place of the results."""
    contents = list(_all())
    for content in contents:
        _save(path, *content)
    for family in ("sit", "maskgit"):
        meta = networks.describing(Folder(path), family)
        made = networks.filled(networks.untrained(family, meta["ctor"]), meta["recipe"])
        torch.save(made.state_dict(), path / f"{family}{networks.BACKBONE}.pth")
    for name, meta, arrays in contents:
        for line in checks.run(Folder(path), f"{name}.npz"):
            if line.quantity in arrays and line.found is not None:
                kind = arrays[line.quantity].dtype
                arrays[line.quantity] = line.found.to(kind)
        _save(path, name, meta, arrays)


def _save(path: Path, name: str, meta: dict[str, Any], arrays: dict[str, torch.Tensor]) -> None:
    numbers = {key: value.numpy() for key, value in arrays.items()}
    np.savez(path / f"{name}.npz", meta=np.array(json.dumps(meta)), **numbers)


def _all() -> Iterator[Content]:
    yield from _policies()
    yield from _solvers()
    yield from _maskgit()
    yield from _var()
    yield from _others()


def _normal(name: str, *shape: int) -> torch.Tensor:
    return recipe.normal(name, SEED, shape)


def _unit(name: str, *shape: int) -> torch.Tensor:
    return recipe.unit(name, SEED, shape)


def _ids(name: str, top: int, *shape: int) -> torch.Tensor:
    """Integers below `top`."""
    return (recipe.unit(name, SEED, shape) * top).long()


def _policy(width: int, keys: list[str], smoothing: float) -> dict[str, Any]:
    made = {"feat_dim": width, "action_dim": len(keys), "seed": SEED, "out_gain": 0.5}
    digest = recipe.digest(policy_weights(made))
    return {**made, "sha256": digest, "action_keys": keys, "action_smooth": smoothing}


def _policies() -> Iterator[Content]:
    calls, batch, size = 4, 3, 2
    config = {"model_family": "sit", "gen_steps": calls - 1, "cfg_init": 1.25, "action_smooth": 0.6}
    meta = {
        "recipe": _policy(40, SOLVER_KEYS, 0.6),
        "config": config,
        "feat": "2.0*u('feat{t}',seed,(3,256,feat_dim)) float32, all-zero at t=0",
        "featmix": "u('featmix',seed,(3,256,feat_dim)) float32",
    }
    each, table = torch.zeros(calls, batch, size), torch.zeros(calls, size)
    arrays = dict.fromkeys(("raw", "smoothed_logits", "actions"), each)
    arrays |= dict.fromkeys(("heuristic", "schedule_from_zero"), table)
    arrays |= {"mix_timestep": torch.tensor([2, 0, 3, 1, 2])}
    arrays |= dict.fromkeys(("mix_raw", "mix_actions"), torch.zeros(5, size))
    yield "policy_small", meta, arrays


def _solvers() -> Iterator[Content]:
    shape = (DIT["in_channels"], DIT["input_size"], DIT["input_size"])
    for family, depth, outputs in (("dit", 1, 8), ("sit", 2, 4)):
        ctor = {**DIT, "depth": depth}
        made = {"seed": SEED, "gains": GAINS["dit"], "kept": ["pos_embed"]}
        arrays = {
            "x": _normal("x", 2, *shape),
            "t": torch.tensor([0.3, 0.8]) * (1000 if family == "dit" else 1),
            "y": torch.tensor([[7], [2]]),
            "out": torch.zeros(2, outputs, *shape[1:]),
            "feat": torch.zeros(2, 256, 16),
        }
        yield f"{family}_forward", {"ctor": ctor, "recipe": made}, arrays
        yield _scripted(family, 4, 3, shape)
        yield _driven(family, 6, 2, shape)
        yield _algebra(family, 5)


def _trajectory(steps: int, batch: int, shape: tuple[int, ...]) -> dict[str, torch.Tensor]:
    return {
        "z_init": _normal("z", batch, *shape),
        "labels": _ids("labels", DIT["num_classes"], batch),
        "timesteps_clamped": torch.zeros(steps + 1, batch),
        "eval_times": torch.zeros(steps, batch),
        "x_after_update_0_1": torch.zeros(2, batch, *shape),
        "z_final": torch.zeros(batch, *shape),
    }


def _scripted(family: str, steps: int, batch: int, shape: tuple[int, ...]) -> Content:
    times = torch.linspace(0.1, 1.0, steps + 1).unsqueeze(1).expand(-1, batch)
    times = times.flip(0) if family == "dit" else times
    arrays = {
        **_trajectory(steps, batch, shape),
        "script_timesteps": times + 0.1 * _normal("script", steps + 1, batch),
        "script_cfg": 2 * _unit("cfg", steps + 1, batch),
        "x0_first_eval": torch.zeros(batch, *shape),
    }
    meta = {"gen_steps": steps, "backbone": f"{family}_backbone.pth"}
    return f"{family}_sampler_scripted_{steps}", meta, arrays


def _driven(family: str, steps: int, batch: int, shape: tuple[int, ...]) -> Content:
    arrays = {**_trajectory(steps, batch, shape), "cfg": torch.zeros(steps + 1, batch)}
    policy = _policy(DIT["hidden_size"], SOLVER_KEYS, 0.4)
    meta = {"gen_steps": steps, "cfg_init": 0.8, "action_smooth": 0.4, "policy": policy}
    return f"{family}_sampler_policy_{steps}", meta, arrays


def _algebra(family: str, batch: int) -> Content:
    s, s1, t = (torch.linspace(a, a + 0.1, batch) for a in (0.2, 0.4, 0.6))
    if family == "dit":
        s, t = t, s
    arrays = {"s": s, "s1": s1, "t": t}
    arrays |= {key: _normal(key, batch, 2, 3, 3) for key in ("x", "eps1", "eps2")}
    arrays |= {"x_out": torch.zeros(batch, 2, 3, 3)}
    arrays |= dict.fromkeys(("alpha_s", "sigma_s", "lambda_s"), torch.zeros(batch))
    return f"{family}_solver_algebra", {}, arrays


def _maskgit() -> Iterator[Content]:
    words, batch, steps, positions = UVIT["codebook_size"], 3, 3, UVIT["img_size"] ** 2
    made = {"seed": SEED, "gains": GAINS["maskgit"]}
    arrays = {
        "ids": _ids("ids", words + 1, batch, positions),
        "context": torch.tensor([[1], [5], [0]]),
        "logits_every_8th_position": torch.zeros(batch, positions // 8, words),
        "logsumexp": torch.zeros(batch, positions),
        "feat": torch.zeros(batch, positions, UVIT["embed_dim"]),
    }
    yield "maskgit_forward", {"ctor": UVIT, "recipe": made}, arrays
    yield "maskgit_step", {"mask_id": 40}, _maskgit_step(batch, 9, 5)
    tokens = torch.zeros(steps, batch, positions, dtype=torch.int64)
    labels = _ids("labels", UVIT["num_classes"] - 1, batch)
    arrays = {
        "labels": labels,
        "ratio": torch.tensor([0.8, 0.5, 0.0]).unsqueeze(1).expand(-1, batch).contiguous(),
        "cfg": _unit("cfg", steps, batch),
        "masked_ids": tokens,
        "sampled_ids": tokens,
        "n_masked": tokens.sum(-1),
        "feat_final_sample1": torch.zeros(positions, UVIT["embed_dim"]),
    }
    yield "maskgit_generate_scripted", {}, arrays
    config = {"gen_steps": steps, "cfg_init": 1.5, "temp_init": 2.0, "action_smooth": 0.7}
    meta = {"policy": _policy(UVIT["embed_dim"], MASKGIT_KEYS, 0.7), "config": config}
    arrays = {"labels": labels, "actions": torch.zeros(steps, batch, 4)}
    arrays |= {"masked_ids": tokens, "sampled_ids": tokens}
    yield "maskgit_generate_policy", meta, arrays


def _maskgit_step(batch: int, positions: int, words: int) -> dict[str, torch.Tensor]:
    ids = _ids("ids", words, batch, positions)
    ids[:, ::2] = 40
    found = torch.zeros(batch, positions, dtype=torch.int64)
    return {
        "logits_cond": _normal("conditional", batch, positions, words),
        "logits_uncond": _normal("null", batch, positions, words),
        "masked_ids_in": ids,
        "drawn_ids": _ids("drawn", words, batch, positions),
        "gumbel": _normal("gumbel", batch, positions),
        "ratio": torch.tensor([0.3, 0.0, 0.9]),
        "temp": torch.tensor([1.0, 0.0, 2.0]),
        "samp_temp": torch.tensor([1.0, 0.1, 2.0]),
        "cfg": torch.tensor([0.0, 1.0, 0.5]),
        "categorical_logits_first_row": torch.zeros(batch, words),
        "masked_ids_out": found,
        "sampled_ids_out": found,
        "n_masked_out": found.sum(1),
    }


def _var() -> Iterator[Content]:
    kept = ["lvl_1L", "attn_bias_for_masking", "zero_k_bias"]
    made = {"seed": SEED, "gains": GAINS["var"], "kept": kept}
    length, words, codes = sum(side**2 for side in VAR["patch_nums"]), VAR["V"], VAR["Cvae"]
    arrays = {
        "labels": torch.tensor([0, 7, 3]),
        "positions": torch.tensor([0, 4, 20]),
        "logits_at_positions": torch.zeros(3, 3, words),
        "logits_mean_all": torch.zeros(3, length),
        "logits_std_all": torch.zeros(3, length),
    }
    meta = {"ctor": VAR, "recipe": made, "x": f"N('var_x',seed,(3,{length - 1},{codes}))"}
    yield "var_forward_teacher", meta, arrays
    vae = {"recipe": {"seed": SEED + 1, "gains": GAINS["vae"]}, "ctor": VAE}
    arrays = {
        "labels": torch.tensor([2, 6]),
        "cfg": 3 * _unit("cfg", 3, 2),
        "temp": 1 + _unit("temp", 3, 2),
        "tokens": torch.zeros(2, length, dtype=torch.int64),
        "f_hat": torch.zeros(2, codes, 4, 4),
        "feat_sample1_steps_0_2": torch.zeros(2, 16, VAR["embed_dim"]),
        "guided_logits_step1_sample1": torch.zeros(4, words),
        "image_sample1": torch.zeros(3, 64, 64, dtype=torch.float16),
    }
    yield "var_generate_top1", {"vae": vae}, arrays
    meta = {
        "vae": vae,
        "h": f"N('q_h',seed,(2,{codes},2,2))",
        "f_in": f"0.3*N('q_f',seed,(2,{codes},4,4))",
        "h2": f"N('q_h2',seed,(2,{codes},4,4))",
        "phi_index_per_scale": [0, 2, 3],
    }
    maps = torch.zeros(2, codes, 4, 4)
    yield "var_quant_step", meta, {"f_out": maps, "next_map": maps, "f_out_si2": maps}
    arrays = {
        "logits": 3 * _normal("logits", 3, 2, 10),
        "top_k": torch.tensor([3.9, 0.4, 10.0]),
        "top_p": torch.tensor([0.9, 0.5, 0.0]),
        "temp": torch.tensor([1.0, 0.3, 2.0]),
        "probs": torch.zeros(3, 2, 10),
        "kept": torch.zeros(3, 2, dtype=torch.int64),
    }
    yield "var_filter", {}, arrays


def _others() -> Iterator[Content]:
    scalar = torch.zeros((), dtype=torch.float64)
    mixed = _normal("sigma", 5, 5).double()
    arrays = {
        "fid_small": scalar,
        "isc": scalar,
        "small_x": _normal("features", 30, 5),
        "small_mu": _normal("mu", 5).double(),
        "small_sigma": mixed @ mixed.T,
    }
    yield "fid_is", {"isc_logits": "2*N('isc',seed,(50,12)) float32"}, arrays
    each = torch.zeros(5, 2, 4)
    arrays = {"raw": _normal("raw", 5, 2, 4), "residual": torch.zeros(5, 4)}
    arrays |= {"actions_heu0": each, "actions_heu1": each}
    yield "adanat_bias_act", {"gen_steps": 5}, arrays
