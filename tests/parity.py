"""Compare adagen with a folder of golden files: `python tests/parity.py FOLDER`.

Every array of every file is computed again through adagen and gets a line with its largest
absolute error, its largest error relative to the largest expected number, what is allowed, and a
verdict. The exit status is 0 if all are ok, 1 if one is not, 2 if there is nothing to compare.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path

from parity_checks import checks
from parity_checks.folder import Folder
from parity_checks.report import table


class List(argparse.Action):
    """Print what is compared, and leave: like --help."""

    def __call__(self, parser: argparse.ArgumentParser, *rest: object) -> None:
        known = {f"{name}.npz": check for name, check in checks.GOLDEN_CHECKS.items()}
        known |= {f"{name}.pth": check for name, check in checks.WEIGHT_CHECKS.items()}
        width = max(map(len, known))
        for pattern, check in known.items():
            told = " ".join((check.__doc__ or "").split())
            print(f"{pattern.ljust(width)}  {told}")
        parser.exit()


def main(arguments: Sequence[str]) -> int:
    """Compare, print, and say how it went."""
    parser = argparse.ArgumentParser(prog="parity.py", description=__doc__)
    parser.add_argument("folder", type=Path, help="folder of .npz (and .pth) files")
    parser.add_argument("--only", metavar="NAME", help="file to compare, such as 'dit_*'")
    parser.add_argument("--list", action=List, nargs=0, help="print what is compared, and leave")
    asked = parser.parse_args(arguments)
    folder = Folder(asked.folder)
    wanted = asked.only or "*"
    files = [f for f in checks.names(folder) if fnmatch(f, wanted) or fnmatch(f[:-4], wanted)]
    if not files:
        print(f"{asked.folder} holds no file {wanted!r} to compare", file=sys.stderr)
        return 2
    start = time.perf_counter()
    lines = [line for file in files for line in checks.run(folder, file)]
    print(table(lines))
    wrong = sum(not line.ok for line in lines)
    seconds = time.perf_counter() - start
    print(f"{len(files)} files, {len(lines)} lines, {wrong} not ok, {seconds:.0f} s")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
