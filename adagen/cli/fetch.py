"""Released files: fetching them, and saying what is there. Imports nothing that takes seconds."""

import os
import sys
from pathlib import Path
from urllib.parse import urlsplit

from tqdm import tqdm

from adagen.config import Asset, Config
from adagen.data import pins
from adagen.data.downloads import DownloadBar, beside
from adagen.data.released import MIRROR, asset_path, catalogue, fetch, find, needed

HEADINGS = ("name", "file", "size", "state", "from", "needed by", "licence")


def fetch_assets(config: Config, names: list[str], *, jobs: int) -> None:
    """Fetch assets by name; without names all that the experiments of the config need."""
    wanted = names or list(needed(config))
    mirror = os.environ.get(MIRROR, "")
    if not wanted:
        return _say("no experiment of this config needs a released file.")
    with DownloadBar() as meter:
        fetch(config.assets, wanted, mirror=mirror, jobs=jobs, meter=meter, say=_say)


def _say(text: str) -> None:
    """A line on standard error that leaves the bar intact."""
    tqdm.write(text, file=sys.stderr)


def list_assets(config: Config, names: list[str]) -> str:
    """A table of the named assets, or of all, with what is there of each."""
    users = needed(config)
    rows = [HEADINGS]
    for name in names or catalogue(config.assets):
        asset, path = find(config.assets, name), asset_path(config.assets, name)
        rows.append(
            (
                name,
                asset.file,
                _size(asset.size),
                _state(path, asset),
                urlsplit(asset.url).hostname or "by hand",
                ", ".join(users.get(name, ["-"])),
                asset.licence,
            )
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def _size(count: int) -> str:
    """Bytes, as one reads them."""
    if not count:
        return "?"
    return f"{count / 1e9:.2f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"


def _state(path: Path, asset: Asset) -> str:
    """What is there of an asset, without reading its bytes."""
    if pins.is_verified(path, asset):
        return "verified" if asset.sha256 else "pinned"
    if path.exists():
        return "unverified"
    return "in part" if beside(path, ".part").exists() else "missing"
