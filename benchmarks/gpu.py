"""What one GPU makes of the generators of config/imagenet256.yaml, with random weights.

    python -m benchmarks.gpu --out docs/results/performance/h100

No row begins after twelve minutes, and `gpu.csv` and `gpu.txt` are written after every row. What
does not fit, or comes too late, is left out and said so. Nothing has to be fetched.
"""

import argparse
import gc
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from adagen import config
from adagen.evaluation.cost import gflops_per_image
from adagen.runtime.atomic import atomic_path
from adagen.runtime.noise import SampleNoise
from adagen.sampling.rollout import rollout
from benchmarks.cases import ROOT, Case
from benchmarks.gpu_launches import over_graphs, waits
from benchmarks.gpu_rows import Row, write_rows
from benchmarks.gpu_training import update_numbers
from benchmarks.tape import Tape, watched
from benchmarks.timing import Spread

EXPERIMENTS = {
    "dit_xl": "imagenet256_dit_xl_t16",
    "sit_xl": "imagenet256_sit_xl_t16",
    "maskgit_l": "imagenet256_maskgit_l_t16",
    "var_d16": "imagenet256_var_d16_t10",
    "var_d30": "imagenet256_var_d30_t10",
}
BATCHES = (32, 128, 1)
"""In the order of what is worth knowing, as the time may run out."""


@dataclass(frozen=True)
class Settings:
    """Device, budget and size of a run.

    Attributes:
        device: the GPU; a CPU for tests.
        end: time at which no new row begins.
        tiny: whether everything is as small as it can be.
        repeats: rounds of each row.
    """

    device: torch.device
    end: float
    tiny: bool
    repeats: int

    @property
    def late(self) -> bool:
        """Whether the time is up."""
        return time.monotonic() > self.end

    def clock(self) -> float:
        """Seconds, once the device has done what it was told."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()

    def stamp(self) -> Any:
        """A point in the work of the device, without waiting for it."""
        if self.device.type != "cuda":
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def between(self, first: Any, last: Any) -> float:
        """Seconds between two stamps, once the device has passed them."""
        return first.elapsed_time(last) / 1000 if self.device.type == "cuda" else last - first


def main(arguments: list[str] | None = None) -> None:
    """Measure all rows, in the order of what is worth knowing."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    parser.add_argument("--minutes", type=float, default=12, help="no row begins later")
    parser.add_argument("--repeats", type=int, default=3, help="rounds of each row")
    parser.add_argument("--tiny", action="store_true", help="everything as small as it can be")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options = parser.parse_args(arguments)
    device = torch.device(options.device)
    if device.type != "cuda" and not options.tiny:
        sys.exit("benchmarks.gpu: there is no GPU; --tiny tries the script on a CPU.")
    end = time.monotonic() + 60 * options.minutes
    settings = Settings(device, end, options.tiny, options.repeats)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    peaks = {precision: peak_rate(settings, precision) for precision in ("float32", "bfloat16")}
    rates = ", ".join(f"{precision} {rate / 1e12:.4g}" for precision, rate in peaks.items())
    text = [f"{name}, torch {torch.__version__}; TFLOP/s of a large matrix product: {rates}"]
    rows: list[Row] = []
    print(text[0], flush=True)
    for found in measurements(settings, peaks):
        if isinstance(found, Row):
            rows.append(found)
            write_rows(options.out / "gpu.csv", rows)
        text.append(str(found))
        print(text[-1], flush=True)
        with atomic_path(options.out / "gpu.txt") as temporary:
            temporary.write_text("\n".join(text) + "\n")


def measurements(settings: Settings, peaks: dict[str, float]) -> Iterator[Row | str]:
    """All rows, and the profile of a step."""
    for compiled in (False,) if settings.tiny else (False, True):
        for name in EXPERIMENTS:
            yield from generator_rows(settings, name, peaks, compiled=compiled)
            if name == "dit_xl" and not compiled:
                yield profile(settings)
                yield training_row(settings)


def case_of(name: str, precision: str, settings: Settings, *, compiled: bool = False) -> Case:
    """A generator of the configuration at another precision, or a tiny one of its family."""
    whole = config.load_config([ROOT / "config" / "imagenet256.yaml"])
    generator, experiment = whole.generators[name], whole.experiments[EXPERIMENTS[name]]
    changes: dict[str, Any] = {"precision": precision}
    if compiled:
        changes["compile"] = "blocks"
    side, classes, batch = 256, 1000, 32
    if settings.tiny:
        side, classes, batch = 16, 10, 2
        changes |= tiny_changes(generator)
        small = config.PolicySettings(hidden=8, pointwise=4, first=8, second=8)
        training = experiment.training.model_copy(
            update={"trajectories": 16, "batch": 8, "updates": 2, "epochs": 2}
        )
        experiment = experiment.model_copy(
            update={"policy": small, "steps": 4, "training": training}
        )
    generator = generator.model_copy(update=changes)
    return Case(
        generator.paradigm,
        name,
        generator,
        experiment,
        (3, side, side),
        classes,
        batch,
        settings.device,
    )


def tiny_changes(generator: config.Generator) -> dict[str, Any]:
    """The smallest networks of a family, for images of 16 pixels."""
    changes: dict[str, Any] = {"network": config.Transformer(width=16, depth=2, heads=2)}
    convolutions = {"width": 32, "multipliers": (1, 1)}
    if isinstance(generator, config.VarGenerator):
        tokeniser = generator.tokeniser.model_copy(update={**convolutions, "vocabulary": 32})
        return {**changes, "tokeniser": tokeniser, "scales": (1, 2, 4, 8)}
    if isinstance(generator, config.MaskgitGenerator):
        tokeniser = generator.tokeniser.model_copy(update={**convolutions, "vocabulary": 32})
        return {**changes, "tokeniser": tokeniser}
    assert isinstance(generator, config.DitGenerator | config.SitGenerator)
    assert generator.latent is not None
    return {**changes, "latent": generator.latent.model_copy(update=convolutions)}


def generator_rows(
    settings: Settings, name: str, peaks: dict[str, float], *, compiled: bool
) -> Iterator[Row]:
    """A generator at every precision and batch."""
    gflops = None
    for precision in ("bfloat16", "float32") if name.startswith("var") else ("bfloat16",):
        networks = None
        for batch in BATCHES:
            row = Row(generator=name, precision=precision, batch=batch, compiled=compiled)
            if settings.late:
                yield replace(row, note="left out: the time was up")
                continue
            try:
                networks = networks or case_of(name, precision, settings, compiled=compiled)
                if gflops is None:
                    one = networks.with_batch(1)
                    gflops = gflops_per_image(partial(images, one, 0), 1)
                case = networks.with_batch(min(batch, 2) if settings.tiny else batch)
                rate = peaks[precision] / (1e9 * gflops)
                for joined in (True,) if compiled or name.startswith("var") else (True, False):
                    case.generator.joined = joined  # VAR's always are
                    row = replace(row, joined=joined)
                    yield measured(settings, case, row, rate=rate)
                if settings.device.type == "cuda" and not (compiled or settings.late):
                    row = replace(row, what="launches", joined=True)
                    yield launches(settings, case, row)
            except Exception as error:  # the other rows are worth the machine's time
                yield replace(row, note=reason(error))
            release(settings.device)


def training_row(settings: Settings) -> Row:
    """An update of a training at the size of DiT-XL/2."""
    row = Row(what="training", generator="dit_xl", precision="bfloat16", batch=128)
    if settings.late:
        return replace(row, note="left out: the time was up")
    try:
        case = case_of("dit_xl", "bfloat16", settings)
        found = update_numbers(case, clock=settings.clock, tiny=settings.tiny)
        return replace(row, **found)
    except Exception as error:  # as above
        return replace(row, note=reason(error))
    finally:
        release(settings.device)


def reason(error: Exception) -> str:
    """A note on a row that could not be measured."""
    if isinstance(error, torch.cuda.OutOfMemoryError):
        return "does not fit"
    return f"failed with {type(error).__name__}: {' '.join(str(error).split())[:300]}"


def release(device: torch.device) -> None:
    """Give memory back that nothing holds any more."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()


def images(case: Case, seed: int) -> torch.Tensor:
    """A batch of images, whose noise is that of a seed."""
    noise = SampleNoise("benchmark", seed, range(case.batch), case.device)
    return rollout(case.generator, case.policy, labels=case.labels, noise=noise)


def measured(settings: Settings, case: Case, row: Row, *, rate: float) -> Row:
    """Time a case.

    Args:
        settings: of the run.
        case: what to time.
        row: says what it is.
        rate: images a second at the peak of the device.
    """
    cuda = settings.device.type == "cuda"
    images(case, 0)  # warms up, and compiles
    if cuda:
        torch.cuda.reset_peak_memory_stats(settings.device)
    speeds, shares = [], []
    for seed in range(settings.repeats):
        began = settings.clock()
        with watched(case.generator.backbone, settings.stamp) as calls:
            images(case, seed)
        seconds = settings.clock() - began
        speeds.append(case.batch / seconds)
        shares.append(seconds / sum(settings.between(*stamps) for stamps in calls))
    memory = torch.cuda.max_memory_allocated(settings.device) / 1e9 if cuda else None
    speed = Spread.of(speeds)
    return replace(
        row,
        images_per_second=speed.median,
        low=speed.low,
        high=speed.high,
        over_forwards=Spread.of(shares).median,
        share_of_peak=speed.median / rate,
        memory_gb=memory,
    )


def launches(settings: Settings, case: Case, row: Row) -> Row:
    """What graphs could save, and how often a rollout waits."""
    case.generator.joined = True
    with waits() as places:
        images(case, 0)
    tape = Tape.of(case.generator.backbone, lambda: images(case, 0))
    saved = over_graphs(tape, clock=settings.clock, repeats=settings.repeats)
    return replace(row, over_graphs=saved, waits=len(places), note=" ".join(sorted(set(places))))


def peak_rate(settings: Settings, precision: str) -> float:
    """Operations a second of a large matrix product."""
    side = 64 if settings.tiny else 8192
    a = torch.randn(side, side, device=settings.device, dtype=getattr(torch, precision))
    seconds = []
    for _ in range(5):
        began = settings.clock()
        for _ in range(4):
            a @ a
        seconds.append((settings.clock() - began) / 4)
    return 2 * side**3 / min(seconds)


def profile(settings: Settings) -> str:
    """The operations of one step of DiT-XL that take the most time."""
    if settings.late:
        return "There was no time for the profile of a step."
    case = case_of("dit_xl", "bfloat16", settings)
    generator = case.generator
    action = generator.actions.handmade.to(case.device)[1].expand(case.batch, -1)
    with torch.no_grad():
        first = generator.step(generator.start(case.labels, case.noise), action)
        generator.step(first, action)
        activities = [torch.profiler.ProfilerActivity.CPU]
        if case.device.type == "cuda":
            activities.append(torch.profiler.ProfilerActivity.CUDA)
        with torch.profiler.profile(activities=activities) as found:
            generator.step(first, action)
            settings.clock()
    key = "device_time_total" if case.device.type == "cuda" else "cpu_time_total"
    table: str = found.key_averages().table(sort_by=key, row_limit=25)
    return f"One step of DiT-XL/2, 32 images in bfloat16:\n{table}"


if __name__ == "__main__":
    main()
