"""The predecessor: its actions, PPO updates, discriminator and text-conditional network."""

import re
from collections.abc import Iterator
from typing import Any

import torch
from torch.nn import functional as F

from adagen.config import DinoFeatures, Handmade, PolicyNetworkSize, Training
from adagen.generators.actions import maskgit_actions
from adagen.generators.conditions import ClassConditions
from adagen.policy.networks import PolicyNetwork
from adagen.rewards.base import normalise
from adagen.training import ppo

from . import networks, recipe
from .folder import Folder, Golden
from .report import ACTION, GRADIENT, LOSS, NETWORK, POLICY, UPDATED, Line, compare

GRID = (16, 16)
SIZE = PolicyNetworkSize(hidden=512, pointwise=128, first=1024, second=512)
CLASSES = 1000


def actions(folder: Folder, golden: Golden) -> Iterator[Line]:
    """From raw outputs to actions, as residuals to the hand-made schedule and without."""
    ours = maskgit_actions(golden.meta["gen_steps"], Handmade(), smoothing=0.0)
    raw = golden["raw"]
    residual = torch.stack([ours.smooth(None, row, call=t) for t, row in enumerate(raw)])
    yield from golden.compare("residual", ours.residual, POLICY)
    yield from golden.compare("actions_heu0", ours.squash(raw), ACTION)
    yield from golden.compare("actions_heu1", ours.squash(residual), ACTION)


def _policy_part(name: str, width: int, outputs: int, made: networks.Meta) -> PolicyNetwork:
    """Actor or critic, with weights by recipe; its gains stand in a sentence."""
    gains = [
        (part, float(gain)) for gain, part in re.findall(r"gain (\S+) for (\w+)", made["keys"])
    ]
    network = PolicyNetwork(width, GRID, actions=outputs, size=SIZE)
    prefix = f"policy.{name}."
    shapes = {prefix + key: value.shape for key, value in network.state_dict().items()}
    weights = recipe.fill_all(shapes, made["seed"], gains)
    network.load_state_dict({key.removeprefix(prefix): w for key, w in weights.items()})
    return network


def ppo_updates(folder: Folder, golden: Golden) -> Iterator[Line]:
    """Full-batch steps of Adam on given trajectories, and the policy after them."""
    meta = golden.meta
    calls, batch, width, std = (meta[key] for key in ("T", "batch", "feat_dim", "std"))
    raw, steps = golden["actions"].unflatten(0, (calls, batch)), golden["timestep"]
    actor, critic = (
        _policy_part(name, width, outputs, meta["recipe"])
        for name, outputs in (("actor", raw.shape[-1]), ("critic", 1))
    )
    shape = (batch, GRID[0] * GRID[1], width)
    features = torch.cat([folder.draw(golden, meta["feat"], shape, t=t) for t in range(calls)])

    def distribution() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        mean = actor(features, steps)
        log_prob = ppo.gaussian_log_prob(raw, mean.view_as(raw), sigma=std)
        return mean, log_prob, critic(features, steps)

    with torch.no_grad():
        mean, log_prob, values = distribution()
    yield from golden.compare("mean_before", mean, POLICY)
    yield from golden.compare("old_logprobs", log_prob.flatten(), NETWORK)
    yield from golden.compare("old_values", values.flatten(), POLICY)
    paid = golden["terminal_reward"].expand(calls, batch)
    returns = normalise(paid)
    old_values = golden["old_values"].view(calls, batch)
    advantage = ppo.value_advantage(returns, old_values)
    yield from golden.compare("returns", paid.flatten(), LOSS)
    yield from golden.compare("returns_normalised", returns.flatten(), LOSS)
    yield from golden.compare("advantages", advantage.flatten(), LOSS)
    entropy = ppo.gaussian_entropy(raw.shape[-1], std)
    yield from golden.compare("entropy", torch.full((len(steps),), entropy), LOSS)
    optimiser = torch.optim.Adam([*actor.parameters(), *critic.parameters()], meta["lr"])
    settings = Training(
        clip=meta["eps_clip"],
        value_coefficient=meta["value_coef"],
        entropy_coefficient=meta["entropy_coef"],
    )
    losses = []
    for epoch in range(len(golden["losses"])):
        _, log_prob, values = distribution()
        loss = ppo.ppo_loss(
            log_prob,
            golden["old_logprobs"].view(calls, batch),
            advantage=advantage,
            values=values.view(calls, batch),
            returns=returns,
            entropy=entropy,
            settings=settings,
        )
        optimiser.zero_grad()
        loss.total.backward()
        if epoch == 0:
            yield from _gradients(golden, "epoch0", {"actor": actor, "critic": critic})
        optimiser.step()
        losses.append(loss.total.detach())
    yield from golden.compare("losses", torch.stack(losses), LOSS)
    with torch.no_grad():
        mean, log_prob, values = distribution()
    yield from golden.compare("mean_after", mean, NETWORK)
    yield from golden.compare("values_after", values, NETWORK)
    yield from golden.compare("logprob_after", log_prob.flatten(), NETWORK)


def _gradients(golden: Golden, when: str, modules: dict[str, torch.nn.Module]) -> Iterator[Line]:
    """Norms of the gradients of all parameters."""
    key = f"grad_norms_{when}"
    expected = golden.meta[key]
    gradients = {
        ".".join(filter(None, (part, name))): parameter.grad
        for part, module in modules.items()
        for name, parameter in module.named_parameters()
    }
    found = [0.0 if gradients[name] is None else gradients[name].norm() for name in expected]
    yield compare(
        golden.name, key, torch.tensor(found), torch.tensor(list(expected.values())), GRADIENT
    )


def discriminator(folder: Folder, golden: Golden) -> Iterator[Line]:
    """Logits and reward, two updates, and the logits after them."""
    from adagen.rewards.projected import ProjectedDiscriminator

    meta = golden.meta
    network = ProjectedDiscriminator(
        DinoFeatures(kind="dino"), ClassConditions(CLASSES), condition=meta["c_dim"]
    )
    networks.filled(network, {**meta["recipe"], "kept": ["weight_u", "weight_v"]})
    vectors = {key: golden[key] for key, _ in golden.matching(r".*\.weight_[uv]")}
    network.load_state_dict({**network.state_dict(), **vectors})
    fake, real = _images(folder, golden)
    with torch.no_grad():
        maps = {"fake": network.dino(fake, None), "real": network.dino(real, None)}
    labels = {kind: golden[f"labels_{kind}"].flatten() for kind in maps}
    for key, found in golden.matching(r"dino_feat_(\d+)_img(\d+)_every_(\d+)\w+_channel"):
        number, image, stride = (int(part) for part in found.groups())
        yield from golden.compare(key, maps["fake"][image, number, ::stride], NETWORK)

    def logits(kind: str) -> torch.Tensor:
        out: torch.Tensor = network(maps[kind], labels[kind])
        return out

    with torch.no_grad():
        evaluated = logits("fake")
        mapped = network.mapping(labels["fake"])
    yield from golden.compare("logits_eval", evaluated, NETWORK)
    yield from golden.compare("reward", evaluated.mean(1, keepdim=True).sigmoid(), NETWORK)
    if "mapping_w" in golden:
        yield from golden.compare("mapping_w", mapped[:, : golden["mapping_w"].shape[1]], NETWORK)
    yield from _discriminator_updates(golden, network, logits)
    with torch.no_grad():
        yield from golden.compare("logits_eval_after", logits("fake"), UPDATED)


def _discriminator_updates(golden: Golden, network: Any, logits: Any) -> Iterator[Line]:
    """Alternating with the policy, the discriminator tells real from fake."""
    learnt = [*network.mapping.parameters(), *network.heads.parameters()]
    for parameter in learnt:
        parameter.requires_grad_(True)
    optimiser = torch.optim.Adam(learnt, 1e-4, betas=(0.5, 0.999))
    losses = []
    network.train()
    for update in range(len(golden["losses"])):
        real, fake = logits("real"), logits("fake")
        loss = F.softplus(-real).mean() + F.softplus(fake).mean()
        optimiser.zero_grad()
        loss.backward()
        yield from golden.compare(f"train_logits_real_iter{update}", real, NETWORK)
        yield from golden.compare(f"train_logits_fake_iter{update}", fake, NETWORK)
        if f"grad_norms_iter{update}" in golden.meta:
            parts = {"mapping": network.mapping, "heads": network.heads}
            yield from _gradients(golden, f"iter{update}", parts)
        optimiser.step()
        losses.append(loss.detach())
    network.eval()
    yield from golden.compare("losses", torch.stack(losses), LOSS)


def _images(folder: Folder, golden: Golden) -> tuple[torch.Tensor, torch.Tensor]:
    """Fake and real images: noise, half fine and half coarse; the real ones as the fake."""
    formula = golden.meta["fake"]
    formula = re.sub(r",\s*align_corners=False", "", formula)
    told = re.search(r"'(\w+)' and '(\w+)' of (\d+)x(\d+)", golden.meta["real"])
    fine, coarse = re.findall(r"unit\('(\w+)'", formula)
    real = formula.replace(f"'{coarse}'", f"'{told[2]}'").replace(f"'{fine}'", f"'{told[1]}'")
    real = re.sub(rf"('{told[2]}',seed,\(\d+,\d+),\d+,\d+\)", rf"\1,{told[3]},{told[4]})", real)
    batch = (len(golden["labels_fake"]),)
    return folder.draw(golden, formula, batch), folder.draw(golden, real, batch)


@torch.no_grad()
def text_forward(folder: Folder, golden: Golden) -> Iterator[Line]:
    """The text-conditional network: logits and features."""
    from adagen.networks.uvit_text import TextUViT

    size, ids = golden.meta["ctor"], golden["ids"]
    made = TextUViT(
        size["img_size"] ** 2,
        size["codebook_size"],
        text_width=size["clip_dim"],
        width=size["embed_dim"],
        depth=size["depth"],
        heads=size["num_heads"],
        mlp_ratio=int(size["mlp_ratio"]),
    )
    network = networks.filled(made, golden.meta["recipe"])
    shape = (len(ids), size["num_clip_token"], size["clip_dim"])
    logits, features = network(ids, folder.draw(golden, golden.meta["context"], shape))
    for name, found in {"logits": logits, "feat": features}.items():
        for key, stride in golden.matching(rf"{name}_every_(\d+)\w+"):
            yield from golden.compare(key, found[:, :: int(stride[1])], NETWORK)


CHECKS = {
    "adanat_bias_act*": actions,
    "adanat_ppo*": ppo_updates,
    "adanat_discriminator*": discriminator,
    "adanat_t2i_forward*": text_forward,
}
