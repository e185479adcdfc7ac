"""VAR: network, filter, quantiser, and whole generations."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import torch

from adagen.config import Handmade
from adagen.generators.base import guide
from adagen.generators.var import VarState, filter_logits
from adagen.networks.vqvae import MultiScaleVQVAE

from . import networks
from .driving import (
    COLD,
    Watched,
    handmade,
    noise,
    policy_driven,
    policy_identity,
    released_policy,
    scripted,
)
from .folder import Folder, Golden
from .report import (
    HALF,
    IDENTICAL,
    NETWORK,
    PROBABILITY,
    SAMPLER,
    SAMPLER_ACTION,
    Line,
    same,
)


@torch.no_grad()
def teacher_forward(folder: Folder, golden: Golden) -> Iterator[Line]:
    """One pass over all scales at once, inputs given; and the same one scale at a time."""
    network, labels = networks.network(folder, "var"), golden["labels"]
    size = golden.meta["ctor"]
    length = sum(side**2 for side in size["patch_nums"][1:])
    inputs = folder.draw(golden, golden.meta["x"], (len(labels), length, size["Cvae"]))
    for note, run in (("", network), (" (scale by scale)", partial(_by_scale, network))):
        logits = run(labels, inputs)
        chosen = logits[:, golden["positions"]]
        yield from golden.compare("logits_at_positions", chosen, NETWORK, note)
        yield from golden.compare("logits_mean_all", logits.mean(-1), NETWORK, note)
        yield from golden.compare("logits_std_all", logits.std(-1), NETWORK, note)


def _by_scale(network: Any, labels: torch.Tensor, inputs: torch.Tensor) -> torch.Tensor:
    """Logits of all scales, from keys and values kept of the scales before."""
    maps: list[torch.Tensor | None] = [None]
    sizes = [side**2 for side in network.scales[1:]]
    for side, rows in zip(network.scales[1:], inputs.split(sizes, 1), strict=True):
        maps.append(rows.mT.unflatten(2, (side, side)))
    state, logits = network.begin(labels), []
    for given in maps:
        tokens, state = network.advance(state, given)
        logits.append(network.logits(tokens, state))
    return torch.cat(logits, 1)


def token_filter(folder: Folder, golden: Golden) -> Iterator[Line]:
    """Top-k and top-p of each sample's own, then the temperature."""
    kept = filter_logits(golden["logits"], golden["top_k"], top_p=golden["top_p"])
    chances = (kept / golden["temp"].view(-1, 1, 1)).softmax(-1)
    yield from golden.compare("probs", chances, PROBABILITY)
    yield from golden.compare("kept", torch.isfinite(kept).sum(-1), IDENTICAL)
    support = torch.equal(chances > 0, golden["probs"] > 0)
    yield same(golden.name, "support of probs", support, True)


@torch.no_grad()
def quantiser_step(folder: Folder, golden: Golden) -> Iterator[Line]:
    """Accumulate and resize, at a middle scale and at another that the file names."""
    tokeniser = networks.vqvae(folder, golden.meta)
    shape = tuple(golden["f_out"].shape)
    f = folder.draw(golden, golden.meta["f_in"], shape)
    codes = folder.draw(golden, golden.meta["h"], shape[:2])
    index = tokeniser.scales.index(codes.shape[-1])
    f_out = tokeniser.accumulate(f, codes, index=index)
    yield from golden.compare("f_out", f_out, NETWORK)
    yield from golden.compare("next_map", tokeniser.next_input(f_out, index), NETWORK)
    for key, found in golden.matching(r"f_out_si(\d+)"):
        codes = folder.draw(golden, golden.meta[f"h{found[1]}"], shape[:2])
        yield from golden.compare(key, tokeniser.accumulate(f, codes, index=int(found[1])), NETWORK)
    expected = golden.meta["phi_index_per_scale"]
    chosen = [tokeniser.quantize.phi_index(i) for i in range(len(expected))]
    yield same(golden.name, "phi_index_per_scale", chosen, expected)


class Overheard(MultiScaleVQVAE):
    """An autoencoder that remembers the ids it embedded."""

    def embed(self, ids: torch.Tensor) -> torch.Tensor:
        self.__dict__.setdefault("heard", []).append(ids)
        return super().embed(ids)


def _generator(folder: Folder, golden: Golden, schedule: Handmade, smoothing: float) -> Any:
    tokeniser = networks.vqvae(folder, golden.meta, Overheard)
    classes = networks.describing(folder, "var")["ctor"]["num_classes"]
    made = networks.network(folder, "var")
    return networks.var_generator(made, tokeniser, classes, schedule, smoothing)


def likeliest_generation(folder: Folder, golden: Golden) -> Iterator[Line]:
    """A generation whose guidance is given and whose filter leaves one token."""
    generator, labels = _generator(folder, golden, Handmade(), 0.0), golden["labels"]
    cfg = golden["cfg"]
    states = scripted(
        generator,
        labels,
        noise(len(labels)),
        guidance=cfg,
        top_k=1.7,
        top_p=0.96,
        temperature=golden["temp"],
    )
    yield from _outcome(golden, generator, states)
    yield from _shown(golden, states)
    for key, found in golden.matching(r"guided_logits_step(\d+)(?:_sample(\d+))?"):
        call = int(found[1])
        logits = _guided(generator, states[call], cfg[call])
        yield from golden.compare(key, logits[int(found[2])] if found[2] else logits, SAMPLER)
    for key, found in golden.matching(r"image_sample(\d+)"):
        with torch.no_grad():
            images = generator.decode(states[-1])
        yield from golden.compare(key, images[int(found[1])], HALF)


@torch.no_grad()
def _guided(generator: Any, state: VarState, w: torch.Tensor) -> torch.Tensor:
    """The logits that a step filters: guidance grows with the scale."""
    conditional, null = generator.backbone.network.logits(state.tokens, state.cache).chunk(2)
    return guide(conditional, null, w=w * state.call / (len(generator.scales) - 1))


def _shown(golden: Golden, states: list[VarState]) -> Iterator[Line]:
    """Features that a policy would see of one sample, at the steps that the name lists."""
    for key, found in golden.matching(r"feat_sample(\d+)_steps_([\d_]+)"):
        calls = [int(call) for call in found[2].split("_")]
        features = torch.stack([states[call].features[int(found[1])] for call in calls])
        yield from golden.compare(key, features, NETWORK)


def policy_generation(folder: Folder, golden: Golden) -> Iterator[Line]:
    """A generation under a policy, every draw the likeliest token."""
    meta, settings = golden.meta, golden.meta["config"]
    vocabulary = networks.vqvae_sizes(folder, meta)["vocab_size"]
    generator = _generator(
        folder, golden, handmade(settings, vocabulary), settings["action_smooth"]
    )
    yield from policy_identity(golden, meta["policy"], "var", generator.actions.names)
    labels = golden["labels"]
    watched = Watched(generator, temperature=COLD)
    policy = released_policy(meta["policy"], generator.grid)
    actions = policy_driven(watched, policy, labels, noise(len(labels)))
    yield from _outcome(golden, generator, watched.states)
    yield from golden.compare("actions", actions, SAMPLER_ACTION)


def _outcome(golden: Golden, generator: Any, states: list[VarState]) -> Iterator[Line]:
    """The tokens of all scales, and the map they make."""
    tokens = torch.cat(generator.backbone.tokeniser.heard, 1)
    yield from golden.compare("tokens", tokens, IDENTICAL)
    yield from golden.compare("f_hat", states[-1].f_hat, NETWORK)


CHECKS = {
    "var_forward*": teacher_forward,
    "var_filter*": token_filter,
    "var_quant_step*": quantiser_step,
    "var_generate_top1*": likeliest_generation,
    "var_generate_policy*": policy_generation,
}
