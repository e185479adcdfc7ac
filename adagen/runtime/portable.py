"""Code of libraries that every x86-64 processor with AVX2 has.

Libraries choose their code by the processor, and round otherwise where they add in another order.
What is alike then, and what isn't or isn't known: docs/results/README.md.
"""

import os
import platform
import sys
from collections.abc import Mapping, MutableMapping
from pathlib import Path

from adagen.runtime.errors import AdagenError
from adagen.runtime.notices import warn

NEWER_THAN_AVX2 = "X86_V4 AVX512F AVX512CD AVX512_SKX AVX512_CLX AVX512_CNL AVX512_ICL AVX512_SPR"
"""As NumPy calls its code for them; no version has all of these names."""
VARIABLES = {
    "ATEN_CPU_CAPABILITY": "avx2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "MKL_CBWR": "COMPATIBLE",  # its AVX2 is promised for Intel's processors alone
    "OPENBLAS_CORETYPE": "Haswell",
    "NPY_DISABLE_CPU_FEATURES": NEWER_THAN_AVX2,
}
"""Environment variables of torch and its libraries, and of NumPy and its own."""
READERS = ("torch", "numpy")
"""Packages that read them when they are imported."""
FLAGS = Path("/proc/cpuinfo")


def has_avx2() -> bool:
    """Return whether this is an x86-64 processor with AVX2, as far as the system tells."""
    return platform.machine().lower() in ("x86_64", "amd64") and (
        not FLAGS.exists() or "avx2" in FLAGS.read_text().split()
    )


def is_portable(environment: Mapping[str, str] = os.environ) -> bool:
    """Return whether a process with this environment takes no newer code."""
    return all(environment.get(name) == value for name, value in VARIABLES.items())


def compute_portably(environment: MutableMapping[str, str] = os.environ) -> None:
    """Let this process, and those that it starts, use no instruction newer than AVX2.

    They have one thread each, as jobs of the workflow do, unless OMP_NUM_THREADS says otherwise.

    A processor of another kind is warned of, and computes as it does.

    Raises:
        AdagenError: packages that read the variables are imported already.
    """
    if not has_avx2():
        warn(
            "this processor is no x86-64 with AVX2, for which key 'arithmetic' is 'portable': "
            "results will differ from those of others, from the last digits of networks on."
        )
        return
    differing = {name: value for name, value in VARIABLES.items() if environment.get(name) != value}
    if differing and (imported := [name for name in READERS if name in sys.modules]):
        needed = " ".join(f"{name}='{value}'" for name, value in differing.items())
        raise AdagenError(
            f"key 'arithmetic' is 'portable', but {' and '.join(imported)} had been imported, and "
            f"read the environment then: set {needed} before Python starts."
        )
    environment.update(differing)
    environment.setdefault("OMP_NUM_THREADS", "1")  # sums of several threads are others
    environment.pop("NPY_ENABLE_CPU_FEATURES", None)  # NumPy takes one of the two
