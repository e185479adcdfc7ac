"""What the tests let several processes do."""

import torch
from toy import no_validation, toy_training

from adagen.processes import Processes


def exchanges(processes: Processes):
    """Every way to exchange tensors, once."""
    rank = processes.rank
    made = []

    def make(part):
        made.append(part)
        return torch.full((part, 2), float(part)).T, torch.tensor(part)

    shared = list(processes.share(iter(range(7)), make))
    own = torch.tensor(processes.own(8, "things"))
    total = torch.tensor([1.0 + rank, 1e-9 * rank], dtype=torch.float64)
    processes.add([total])
    state = {"a": torch.full((2,), float(rank)), "b": {"c": torch.tensor(rank)}, "d": "kept"}
    processes.agree(state)
    processes.wait()
    return {
        "made": made,
        "shared": shared,
        "joined": processes.join(own.expand(2, -1), 1),
        "total": total,
        "agreed": [state["a"], state["b"]["c"]],
        "told": processes.told(f"said by {rank}"),
    }


LOSSES = ("loss_policy", "loss_value", "kl", "clip_fraction", "explained_variance", "reward")
CHANGES = {"updates": 10, "trajectories": 72, "batch": 32, "learning_rate": 1e-3}


def trains(processes: Processes):
    """Ten updates of either baseline: losses, and what is kept at the end."""
    found = {}
    for baseline in ("group", "value"):
        run = toy_training("adagen", processes=processes, baseline=baseline, **CHANGES)
        records = run.run("toy", no_validation, None)
        found[baseline] = {
            "losses": torch.tensor([[record[key] for key in LOSSES] for record in records]),
            "actor": run.average.module.state_dict(),
            "critic": run.critic.state_dict(),
        }
    return found
