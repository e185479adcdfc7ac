"""MaskGIT: network, one step, and whole generations."""

from collections.abc import Iterator
from typing import Any

import torch

from adagen.config import Handmade
from adagen.generators.base import guide
from adagen.generators.maskgit import MaskgitState

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
from .report import IDENTICAL, NETWORK, SAMPLER, SAMPLER_ACTION, Line

HOT = 1e30
"""Sampling temperature at which all tokens are equally likely."""


@torch.no_grad()
def forward(folder: Folder, golden: Golden) -> Iterator[Line]:
    """One pass through the network: logits and features."""
    network = networks.network(folder, "maskgit")
    logits, features = network(golden["ids"], golden["context"].flatten())
    for key, found in golden.matching(r"logits_every_(\d+)\w+_position"):
        yield from golden.compare(key, logits[:, :: int(found[1])], NETWORK)
    yield from golden.compare("logsumexp", logits.logsumexp(-1), NETWORK)
    yield from golden.compare("feat", features, NETWORK)


@torch.no_grad()
def step(folder: Folder, golden: Golden) -> Iterator[Line]:
    """One step of the generator, network, draws and noise given."""
    conditional, null = golden["logits_cond"], golden["logits_uncond"]
    ids, mask = golden["masked_ids_in"], golden.meta["mask_id"]
    unasked = networks.Unasked(conditional.shape[1], mask)
    generator = networks.maskgit_generator(unasked, 1, 1, Handmade(), 0.0)
    tempered = guide(conditional, null, w=golden["cfg"]) / golden["samp_temp"].view(-1, 1, 1)
    yield from golden.compare("categorical_logits_first_row", tempered[:, 0], SAMPLER)
    # Given ids may be too unlikely to be drawn: they are, at a temperature that levels all chances.
    # The real one shows in the logits that are compared first.
    heat = torch.full_like(golden["ratio"], HOT)
    action = torch.stack([golden["ratio"], golden["temp"], heat, golden["cfg"]], dim=1)
    drawn = (golden["drawn_ids"] + 0.5).double() / conditional.shape[-1]
    given = noise(len(ids), uniforms=drawn, gumbels=golden["gumbel"])
    labels, nothing = ids.new_zeros(len(ids)), torch.empty(0)
    start = MaskgitState(0, labels, given, nothing, ids, ids, conditional, null)
    state = generator.step(start, action)
    yield from golden.compare("masked_ids_out", state.ids, IDENTICAL)
    yield from golden.compare("sampled_ids_out", state.new, IDENTICAL)
    yield from golden.compare("n_masked_out", (state.ids == mask).sum(1), IDENTICAL)


def _generator(folder: Folder, steps: int, schedule: Handmade, smoothing: float) -> Any:
    made = networks.network(folder, "maskgit")
    classes = networks.describing(folder, "maskgit")["ctor"]["num_classes"] - 1
    return networks.maskgit_generator(made, classes, steps, schedule, smoothing)


def scripted_generation(folder: Folder, golden: Golden) -> Iterator[Line]:
    """A generation whose ratios and guidance are given, every draw the likeliest token."""
    labels, ratio = golden["labels"], golden["ratio"]
    generator = _generator(folder, len(ratio), Handmade(), 0.0)
    states = scripted(
        generator,
        labels,
        noise(len(labels)),
        ratio=ratio,
        confidence_temperature=0.0,
        sampling_temperature=COLD,
        guidance=golden["cfg"],
    )
    yield from _tokens(golden, states[1:], generator.mask)
    for key, found in golden.matching(r"feat_final_sample(\d+)"):
        row = slice(int(found[1]), int(found[1]) + 1)
        with torch.no_grad():  # a generator doesn't look at what it has finished
            _, features = generator.backbone.network(states[-1].ids[row], labels[row])
        yield from golden.compare(key, features[0], NETWORK)


def policy_generation(folder: Folder, golden: Golden) -> Iterator[Line]:
    """A generation under a policy, every draw the likeliest token."""
    meta, labels = golden.meta, golden["labels"]
    settings = meta["config"]
    generator = _generator(
        folder, settings["gen_steps"], handmade(settings), settings["action_smooth"]
    )
    yield from policy_identity(golden, meta["policy"], "maskgit", generator.actions.names)
    watched = Watched(generator, confidence_temperature=0.0, sampling_temperature=COLD)
    policy = released_policy(meta["policy"], generator.grid)
    actions = policy_driven(watched, policy, labels, noise(len(labels)))
    yield from _tokens(golden, watched.states[1:], generator.mask)
    yield from golden.compare("actions", actions, SAMPLER_ACTION)


def _tokens(golden: Golden, states: list[Any], mask: int) -> Iterator[Line]:
    """Ids after every step, with masks and without."""
    masked = torch.stack([state.ids for state in states])
    yield from golden.compare("masked_ids", masked, IDENTICAL)
    yield from golden.compare("sampled_ids", torch.stack([s.new for s in states]), IDENTICAL)
    yield from golden.compare("n_masked", (masked == mask).sum(-1), IDENTICAL)


CHECKS = {
    "maskgit_forward*": forward,
    "maskgit_step*": step,
    "maskgit_generate_scripted*": scripted_generation,
    "maskgit_generate_policy*": policy_generation,
}
