"""How fast a generator samples at each precision, and what memory it takes, with random weights.

    python benchmarks/sampling.py config/imagenet256.yaml imagenet256_dit_t16 --batch 128

Weights don't matter for speed, so nothing has to be fetched. All precisions are timed in one
process, taking turns, and compared as ratios: machines differ, and a shared one differs from
minute to minute.
"""

import argparse
import statistics
import time
from pathlib import Path

import torch

from adagen.config import load_config
from adagen.generators.build import build_backbone, build_generator
from adagen.policy.networks import HandMade
from adagen.runtime.noise import SampleNoise
from adagen.sampling.rollout import rollout

PRECISIONS = ("float32", "bfloat16", "float16")


def main() -> None:
    """Time the experiment named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("config", type=Path)
    parser.add_argument("experiment")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--precision", nargs="+", choices=PRECISIONS, default=PRECISIONS)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options = parser.parse_args()

    config = load_config([options.config])
    experiment = config.experiments[options.experiment]
    settings = config.generators[experiment.generator]
    if settings.weights is None:
        raise SystemExit("this generator is fitted to a data set: time one with released weights")
    side, classes = settings.weights.image, settings.weights.classes
    with torch.device(options.device):
        backbone = build_backbone(settings, (3, side, side), num_classes=classes).eval()
    generator = build_generator(backbone, experiment)
    policy = HandMade(len(generator.actions.names))
    labels = torch.arange(options.batch, device=generator.device) % classes
    cuda = generator.device.type == "cuda"

    seconds: dict[str, list[float]] = {precision: [] for precision in options.precision}
    memory: dict[str, int] = {}
    for repeat in range(options.repeats + 1):  # the first round warms up
        for precision in options.precision:
            backbone.precision = precision
            noise = SampleNoise("benchmark", repeat, range(options.batch), generator.device)
            if cuda:
                torch.cuda.reset_peak_memory_stats()
            began = time.perf_counter()
            rollout(generator, policy, labels=labels, noise=noise).cpu()
            if repeat:
                seconds[precision].append(time.perf_counter() - began)
            if cuda:
                memory[precision] = torch.cuda.max_memory_allocated()
    median = {precision: statistics.median(values) for precision, values in seconds.items()}
    parameters = sum(p.numel() for p in backbone.parameters())
    print(f"{options.experiment}: {parameters / 1e6:.0f} M parameters, batch {options.batch}")
    for precision, value in median.items():
        ratio = median[options.precision[0]] / value
        peak = f", peak {memory[precision] / 2**30:.1f} GiB" if cuda else ""
        print(f"{precision:9} {options.batch / value:8.2f} images/s  x{ratio:.2f}{peak}")


if __name__ == "__main__":
    main()
