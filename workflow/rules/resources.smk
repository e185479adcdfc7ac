"""The memory, time and GPUs that jobs ask for. A cluster stops jobs that take more.

To ask for more, once: `--set-resources train:runtime=5760`. A job that runs out of time goes on from
its checkpoint when it is submitted again.
"""

SCALE = scale_of(CONFIG)


def memory(stage):
    return NEEDS[stage][SCALE][0]


def minutes(stage):
    return NEEDS[stage][SCALE][1]


# `auto` takes a GPU if there is one, so jobs ask for one.
GPU = 0 if CONFIG.device == "cpu" else 1


def gpu_of_pretrain(wildcards):
    """Reading released weights needs no GPU."""
    return 0 if CONFIG.generators[wildcards.generator].weights else GPU


def kept_if_small(samples):
    """A run's samples, which are deleted at paper scale once they are measured and drawn.

    There they take 39 GB (50,000 x 3 x 256 x 256 x 4 B). Samples of digits take 5 MB; keeping them
    spares drawing them again when another run of their experiment changes.
    """
    return temp(samples) if SCALE == "released" else samples


# With a GPU, cores read images and decompose large matrices. Without one, more threads would change
# the last digits of results, so jobs run side by side instead.
CORES = 1 if CONFIG.device == "cpu" else 4

# Training, search, sampling, evaluation and the reference start this many processes
# (adagen/runtime/processes.py), so their jobs ask for cores, memory and GPUs for each of them.
PROCESSES = CONFIG.processes

# A cluster asks all processes of a job to stop, shells and `tee` too. The trap keeps those two
# alive, because the stage has to write its checkpoint and say so (adagen/runtime/shutdown.py).
#
# The prefix replaces Snakemake's, so it repeats `set -euo pipefail`: otherwise a stage that fails
# before `tee` would count as done.
shell.prefix("set -euo pipefail; " "trap '' TERM USR1; ")
