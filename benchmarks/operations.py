"""Hashes of what operations return, to compare two processors by.

    python -m benchmarks.operations --out mine.csv
    python -m benchmarks.operations --compare docs/results/operations/amd_epyc.csv

In portable arithmetic, unless `--native` is given (docs/results/README.md). It takes seconds.
"""

import argparse
import csv
import hashlib
import sys
from collections.abc import Iterator
from contextlib import suppress
from itertools import product
from pathlib import Path
from typing import Any

from adagen.runtime.atomic import atomic_path
from adagen.runtime.portable import compute_portably

# Neither torch, NumPy nor SciPy at the top: they read the settings when they are imported.

ELEMENTWISE = (
    "exp expm1 log log1p log2 log10 sqrt rsqrt sin cos tan asin acos atan tanh sigmoid erf erfinv "
    "nn.functional.softplus nn.functional.logsigmoid nn.functional.gelu nn.functional.silu"
)
"""Functions of torch, each of numbers in (0, 1)."""
NUMPY = "exp log sqrt sin tanh arctan"
ROWWISE = "softmax log_softmax logsumexp cumsum sum mean std norm"
"""Methods of a tensor, along its rows."""
NUMBERS = 200_000
"""Numbers that each function is of: some differ in a few of 100,000."""
SIZES = tuple(product((1, 3, 5, 33, 128), (7, 48, 256, 300), (1, 10, 12, 48)))
"""Rows, terms and columns of products."""


def operations() -> Iterator[tuple[str, Any]]:
    """Yield the name of each operation, and the array or tensor that it returns."""
    import numpy as np

    stream = np.random.Generator(np.random.Philox(5))
    yield "numpy random standard_normal", stream.standard_normal(NUMBERS)
    uniform, normal = stream.random(NUMBERS), stream.standard_normal(NUMBERS)
    for bits in (32, 64):
        kind = f"float{bits}"
        yield from _numbers(uniform.astype(kind), kind)
        yield from _products(normal.astype(kind), kind)
    yield from _decompositions(normal[:19_200].reshape(300, 64))


def _numbers(numbers: Any, kind: str) -> Iterator[tuple[str, Any]]:
    """Functions of numbers, and of rows of them."""
    import numpy as np
    import torch

    given = torch.from_numpy(numbers)
    for name in ELEMENTWISE.split():
        function: Any = torch
        for part in name.split("."):
            function = getattr(function, part)
        yield f"torch {name} {kind}", function(given)
    for name in ROWWISE.split():
        yield f"torch {name} {kind}", getattr(given.view(-1, 100), name)(dim=1)
    for name in NUMPY.split():
        yield f"numpy {name} {kind}", getattr(np, name)(numbers)
    yield f"torch pow {kind}", given.pow(1.7)
    yield f"numpy power {kind}", numbers**1.7
    yield f"numpy sum {kind}", numbers.sum()


def _products(numbers: Any, kind: str) -> Iterator[tuple[str, Any]]:
    """Products of matrices, as networks and their gradients have them."""
    import torch

    given = torch.from_numpy(numbers)
    for rows, terms, columns in SIZES:
        size = f"{rows} x {terms} x {columns} {kind}"
        a, b = given[: rows * terms], given[-terms * columns :]
        yield f"torch linear {size}", a.view(rows, terms) @ b.view(columns, terms).T
        yield f"torch matmul {size}", a.view(rows, terms) @ b.view(terms, columns)
        yield f"torch gradient {size}", a.view(terms, rows).T @ b.view(terms, columns)
        left, right = numbers[: rows * terms], numbers[-terms * columns :]
        yield f"numpy matmul {size}", left.reshape(rows, terms) @ right.reshape(terms, columns)


def _decompositions(matrix: Any) -> Iterator[tuple[str, Any]]:
    """Decompositions and solutions, in double precision, as distances take them."""
    import numpy as np
    import scipy.linalg
    import torch

    square = np.cov(matrix.T)
    yield "numpy cov", square
    for package, given, back in (("torch", torch.from_numpy, torch), ("numpy", np.asarray, np)):
        linalg, whole, part = back.linalg, given(matrix), given(square)
        yield f"{package} cholesky", linalg.cholesky(part)
        yield f"{package} eigvalsh", linalg.eigvalsh(part)
        yield f"{package} eigh", linalg.eigh(part)[1]
        yield f"{package} svd", linalg.svd(whole, full_matrices=False)[0]
        yield f"{package} solve", linalg.solve(part, whole.T)
    yield "scipy eigh", scipy.linalg.eigh(square)[1]
    yield "scipy sqrtm", scipy.linalg.sqrtm(square).real


def hashed() -> dict[str, str]:
    """The first 12 digits of the SHA-256 of each operation's bytes, by its name."""
    import numpy as np

    return {
        name: hashlib.sha256(np.ascontiguousarray(result).tobytes()).hexdigest()[:12]
        for name, result in operations()
    }


def _read(path: Path, parser: argparse.ArgumentParser) -> dict[str, str]:
    """Hashes of a file by operation; a file that has none ends the program with a message."""
    found = {}
    with suppress(OSError, ValueError, KeyError), path.open(newline="") as file:
        found = {row["operation"]: row["hash"] for row in csv.DictReader(file)}
    return found or parser.error(f"{path} is no file of hashes: give one that `--out` wrote")


def main(arguments: list[str] | None = None) -> int:
    """Hash the operations; write them, or compare them with others."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.operations", description=__doc__)
    parser.add_argument("--native", action="store_true", help="as the processor computes fastest")
    parser.add_argument("--out", type=Path, help="CSV to write")
    parser.add_argument("--compare", type=Path, help="CSV that another processor wrote")
    given = parser.parse_args(arguments)
    kept = _read(given.compare, parser) if given.compare else {}
    if not given.native:
        compute_portably()
    import torch

    torch.set_num_threads(1)
    found = hashed()
    if given.out:
        with atomic_path(given.out) as path, path.open("w", newline="") as file:
            csv.writer(file).writerows([("operation", "hash"), *found.items()])
    if not given.compare:
        return 0
    common = [name for name in found if name in kept]
    if not common:
        parser.error(f"{given.compare} has none of these operations: give one that `--out` wrote")
    names = [name for name in common if found[name] != kept[name]]
    print("\n".join(names))
    compared = f"{len(common)} operations that both have, of {len(found)} here,"
    print(f"{len(names)} of the {compared} differ from {given.compare}", file=sys.stderr)
    return 1 if names else 0


if __name__ == "__main__":
    sys.exit(main())
