"""How much memory and time jobs ask for, by what they handle; a cluster holds them to it.

More, for one run: `--set-resources train:runtime=5760`. A job that is stopped for want of time
continues from its checkpoint when it is submitted again.
"""

# digits: 1,797 images of 8x8. Torch itself takes most of the memory.
# images: a folder of small images, networks of some million weights. Torch with CUDA takes 4 GB.
# released: up to 2 billion weights (VAR-d30: 8 GB in float32), which pass through the main memory
#   on their way to the GPU, twice at a time where they are rewritten; 50,000 images a run, of which
#   one shard is in memory; 1.3 million images where reference statistics are computed.
if any(generator.weights for generator in CONFIG.generators.values()):
    SCALE = "released"
elif CONFIG.dataset.folder:
    SCALE = "images"
else:
    SCALE = "digits"

# Main memory in MB, and minutes.
NEEDS = {
    "pretrain": {"digits": (2000, 60), "images": (8000, 120), "released": (32000, 60)},
    "networks": {"digits": (2000, 60), "images": (8000, 60), "released": (4000, 30)},
    "reference": {"digits": (2000, 30), "images": (8000, 60), "released": (24000, 720)},
    # A thousand updates at paper scale take days on one GPU; most partitions end a job before.
    "train": {"digits": (3000, 120), "images": (16000, 240), "released": (48000, 2880)},
    "sweep": {"digits": (2000, 120), "images": (8000, 240), "released": (24000, 2880)},
    "sample": {"digits": (2000, 60), "images": (8000, 60), "released": (24000, 720)},
    # Several candidates of each.
    "refine": {"digits": (2000, 120), "images": (8000, 240), "released": (24000, 2880)},
    "evaluate": {"digits": (3000, 60), "images": (8000, 60), "released": (16000, 240)},
    "figure": {"digits": (2000, 10), "images": (4000, 20), "released": (8000, 60)},
}


def memory(stage):
    return NEEDS[stage][SCALE][0]


def minutes(stage):
    return NEEDS[stage][SCALE][1]


# `auto` takes a GPU where there is one, so one is asked for.
GPU = 0 if CONFIG.device == "cpu" else 1


def gpu_of_pretrain(wildcards):
    """Taking weights over needs none."""
    return 0 if CONFIG.generators[wildcards.generator].weights else GPU


def kept_if_small(samples):
    """A run's samples: 5 MB of digits, which are kept, as that spares drawing them again when one
    of an experiment's runs has changed; 39 GB at paper scale (50,000 x 3 x 256 x 256 x 4 B), which
    are deleted once they are measured and drawn.
    """
    return temp(samples) if SCALE == "released" else samples


# Beside a GPU: reading images, decompositions of large matrices. Without one, more threads in a job
# would only change the last digits of numbers; jobs run side by side instead.
CORES = 1 if CONFIG.device == "cpu" else 4

# Training, search, sampling, evaluation and the reference start themselves this many times over
# (adagen/runtime/launch.py): their jobs ask for as many times the cores, the memory and the GPUs.
PROCESSES = CONFIG.processes

# A cluster asks all processes of a job to stop, its shells and `tee` too: these go on, as the stage
# between them has to write its checkpoint and say so (adagen/runtime/shutdown.py).
#
# A prefix replaces Snakemake's own, without which a stage that fails before `tee` would pass.
#
# The C library gives every large tensor back to the system, and gets the next one page by page,
# each wiped: an eighth of what sampling takes on a CPU. It keeps them instead.
shell.prefix(
    "set -euo pipefail; "
    "export MALLOC_MMAP_THRESHOLD_=1073741824 MALLOC_TRIM_THRESHOLD_=4294967296; "
    "trap '' TERM USR1; "
)
