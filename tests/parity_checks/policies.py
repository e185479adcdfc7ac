"""Policies of the released sizes, and what becomes of their raw outputs."""

from collections.abc import Iterator

import torch

from adagen.generators.actions import Actions, maskgit_actions, solver_actions, var_actions
from adagen.generators.diffusion import VariancePreserving
from adagen.generators.flow import StraightPath

from .driving import handmade, policy_identity, released_policy
from .folder import Folder, Golden
from .report import ACTION, POLICY, Line

GRID = (16, 16)
"""Positions that released policies look at."""
VOCABULARY = 4096
"""Codes of VAR's tokeniser, the top of top_k."""
SCHEDULES = {"dit": VariancePreserving, "sit": StraightPath}


def released_actions(golden: Golden) -> Actions:
    """The actions of the configuration that a policy was made for."""
    settings = golden.meta["config"]
    family, smoothing = settings["model_family"], settings["action_smooth"]
    schedule = handmade(settings, VOCABULARY)
    if family == "maskgit":
        return maskgit_actions(settings["gen_steps"], schedule, smoothing=smoothing)
    if family == "var":
        return var_actions(
            settings["gen_steps"], VOCABULARY, handmade=schedule, smoothing=smoothing
        )
    times = SCHEDULES[family]
    return solver_actions(
        settings["gen_steps"], times.first, last=times.last, handmade=schedule, smoothing=smoothing
    )


@torch.no_grad()
def policy(folder: Folder, golden: Golden) -> Iterator[Line]:
    """A released-size policy: raw outputs, residual, smoothing, actions."""
    made, family = golden.meta["recipe"], golden.meta["config"]["model_family"]
    actions = released_actions(golden)
    yield from policy_identity(golden, made, family, actions.names)
    network = released_policy(made, GRID)
    calls, batch, _ = golden["raw"].shape
    shape = (batch, GRID[0] * GRID[1], made["feat_dim"])
    raw, logits, zero, z, z_zero = [], [], [], None, None
    for t in range(calls):
        features = torch.zeros(shape)
        if t > 0 or family not in SCHEDULES:
            formula = golden.meta["feat"]
            features = folder.draw(golden, formula, shape, t=t, feat_dim=shape[2])
        raw.append(network(features, torch.full((batch,), t)))
        z = actions.smooth(z, raw[-1], call=t)
        z_zero = actions.smooth(z_zero, torch.zeros(1, raw[-1].shape[1]), call=t)
        logits.append(z)
        zero.append(actions.squash(z_zero)[0])
    yield from golden.compare("raw", torch.stack(raw), POLICY)
    yield from golden.compare("heuristic", actions.residual, POLICY)
    yield from golden.compare("smoothed_logits", torch.stack(logits), POLICY)
    yield from golden.compare("actions", actions.squash(torch.stack(logits)), ACTION)
    yield from golden.compare("schedule_from_zero", torch.stack(zero), ACTION)
    yield from _mixed(folder, golden, actions, network)


def _mixed(
    folder: Folder, golden: Golden, actions: Actions, network: torch.nn.Module
) -> Iterator[Line]:
    """One call whose samples stand at different steps, without a history."""
    if "mix_timestep" not in golden:
        return
    steps = golden["mix_timestep"]
    shape = (len(steps), GRID[0] * GRID[1], golden.meta["recipe"]["feat_dim"])
    features = folder.draw(golden, golden.meta["featmix"], shape, feat_dim=shape[2])
    raw = network(features, steps)
    z = [actions.smooth(None, raw[i : i + 1], call=int(t)) for i, t in enumerate(steps)]
    yield from golden.compare("mix_raw", raw, POLICY)
    yield from golden.compare("mix_actions", actions.squash(torch.cat(z)), ACTION)


CHECKS = {"policy_*": policy}
