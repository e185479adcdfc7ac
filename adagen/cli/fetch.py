"""`adagen fetch`: released files are fetched, verified and listed, without torch."""

import os
import sys
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer

from adagen.cli.options import Configs
from adagen.cli.paths import load_config
from adagen.config import Asset, Config

HEADINGS = ("name", "file", "size", "state", "from", "needed by", "licence")

app = typer.Typer()


@app.command()
def fetch(
    config: Configs,
    names: Annotated[
        list[str] | None,
        typer.Argument(help="Assets; without names all that the config's experiments need."),
    ] = None,
    *,
    listing: Annotated[
        bool,
        typer.Option("--list", help="List the files and their state; fetch none."),
    ] = False,
    jobs: Annotated[int, typer.Option(min=1, max=64, help="Files fetched at once.")] = 3,
) -> None:
    """Fetch released files, and verify them (docs/assets.md)."""
    settings = load_config(config)
    if listing:
        typer.echo(list_assets(settings, names or []))
        return
    from adagen.data.downloads import DownloadBar
    from adagen.data.fetching import MIRROR
    from adagen.data.fetching import fetch as fetch_files
    from adagen.data.released import needed

    wanted = names or list(needed(settings))
    if not wanted:
        _print_above_bar("no experiment of this config needs a released file.")
        return
    with DownloadBar() as bar:
        fetch_files(
            settings.assets,
            wanted,
            mirror=os.environ.get(MIRROR, ""),
            jobs=jobs,
            bar=bar,
            say=_print_above_bar,
        )


def _print_above_bar(text: str) -> None:
    """Print a line on standard error, and leave the progress bar intact."""
    from tqdm import tqdm

    tqdm.write(text, file=sys.stderr)


def list_assets(config: Config, names: list[str]) -> str:
    """A table of the named assets, or of all, with the state of each on this machine."""
    from adagen.data.released import asset_path, catalogue, find, needed

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
                _host(asset.url),
                ", ".join(users.get(name, ["-"])),
                asset.licence,
            )
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def _host(url: str) -> str:
    """The server that an asset is fetched from."""
    try:
        return urlsplit(url).hostname or "by hand"
    except ValueError:
        return "no address"


def _size(count: int) -> str:
    """A number of bytes in units that are easy to read; "?" where it is unknown."""
    if not count:
        return "?"
    return f"{count / 1e9:.2f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"


def _state(path: Path, asset: Asset) -> str:
    """The state of an asset on this machine, found without reading its bytes."""
    from adagen.data import pins
    from adagen.data.pins import beside

    if pins.is_verified(path, asset):
        return "verified" if asset.sha256 else "pinned"
    if path.exists():
        return "unverified"
    return "in part" if beside(path, ".part").exists() else "missing"
