"""How much memory and time jobs ask for, by what they handle; a cluster holds them to it.

More, for one run: `--set-resources train:runtime=5760`. A job that is stopped for want of time
continues from its checkpoint when it is submitted again.
"""

SCALE = scale_of(CONFIG)


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
# (adagen/runtime/processes.py): their jobs ask for as many times the cores, the memory and the GPUs.
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
