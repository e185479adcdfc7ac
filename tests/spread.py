"""What the tests let several processes do."""

from pathlib import Path

import torch
from toy import no_validation, toy_training

from adagen.config import load_config
from adagen.runtime.processes import Processes


def exchanges(processes: Processes):
    """Every way to exchange tensors, once."""
    rank = processes.rank
    made = []

    def make(part):
        made.append(part)
        return torch.full((part, 2), float(part)).T, torch.tensor(part)

    shared = list(processes.map_in_order(iter(range(7)), make))
    own = torch.tensor(processes.own_range(8, "things"))
    total = torch.tensor([1.0 + rank, 1e-9 * rank], dtype=torch.float64)
    processes.all_reduce([total])
    state = {"a": torch.full((2,), float(rank)), "b": {"c": torch.tensor(rank)}, "d": "kept"}
    processes.broadcast_state(state)
    processes.wait()
    return {
        "made": made,
        "shared": shared,
        "joined": processes.all_gather(own.expand(2, -1), 1),
        "total": total,
        "agreed": [state["a"], state["b"]["c"]],
        "told": processes.broadcast(f"said by {rank}"),
    }


LOSSES = ("loss_policy", "loss_value", "kl", "clip_fraction", "explained_variance", "reward")
CHANGES = {"updates": 10, "trajectories": 72, "batch": 32, "learning_rate": 1e-3}


def trains(processes: Processes):
    """Ten updates of either baseline: losses, and what is kept at the end."""
    found = {}
    for baseline in ("group", "value"):
        run = toy_training("adagen", processes=processes, baseline=baseline, **CHANGES)
        records = run.run("toy", no_validation, checkpoint=None)
        found[baseline] = {
            "losses": torch.tensor([[record[key] for key in LOSSES] for record in records]),
            "actor": run.average.module.state_dict(),
            "critic": run.critic.state_dict(),
        }
    return found


def stages(processes: Processes):
    """Every stage that processes share, in the folder of the tests of the command line."""
    from adagen.cli import evaluate, sample, sweep, train
    from adagen.cli.sample_run import SamplingInputs, open_run

    config, made = load_config([Path("config1.yaml")]), Path(f"made{processes.count}")
    generator, features, networks, reference = (
        Path(f"{name}.safetensors") for name in ("flow", "reward", "metrics", "real")
    )
    run, state = (config, "flow_t2"), made / "state"
    evaluate.compute_reference(config, networks, out=made / "reference", processes=processes)
    inputs = SamplingInputs(generator)
    sample.write_samples(
        config,
        open_run(*run, method="handmade", inputs=inputs),
        inputs=inputs,
        out=made / "samples",
        checkpoint=state,
        processes=processes,
    )
    processes.wait()
    evaluate.evaluate_samples(
        config,
        [made / "samples"],
        networks=networks,
        reference=reference,
        out_dir=made / "metrics",
        processes=processes,
    )
    train.train_policy(
        *run,
        method="adagen",
        seed=0,
        inputs=train.TrainingInputs(generator, features, networks, reference),
        outputs=train.TrainingOutputs(made / "policy", made / "log", checkpoint=state),
        processes=processes,
    )
    for method in ("tuned", "tuned_class"):
        processes.wait()
        outputs = train.TrainingOutputs(made / method, made / f"{method}.csv", checkpoint=state)
        sweep.search_schedule(
            *run,
            method=method,
            inputs=sweep.SearchInputs(generator, networks, reference),
            outputs=outputs,
            processes=processes,
        )
