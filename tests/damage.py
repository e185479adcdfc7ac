"""Files cut short, or with one bit changed."""

from pathlib import Path


def cut(path: Path, where: float) -> None:
    """Keep the first part of a file, `where` in [0, 1) of it."""
    content = path.read_bytes()
    path.write_bytes(content[: int(where * len(content))])


def flip(path: Path, where: float) -> None:
    """Change the bit at `where` in [0, 1) of a file."""
    content = bytearray(path.read_bytes())
    bit = int(where * 8 * len(content))
    content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)
