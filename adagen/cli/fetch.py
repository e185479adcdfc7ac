"""`adagen fetch`: released files are fetched, verified and listed, without torch."""

import os
import shutil
import sys
import textwrap
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer

from adagen.cli.options import Configs
from adagen.cli.paths import load_config
from adagen.config import Asset, Config

WIDEST = 100
"""Most columns of a list, for lines that are easy to read."""
INDENT = "    "

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
    """The named assets, or all: a line of name, state and size each, and a paragraph on the rest.

    No line is wider than the terminal, or than 80 columns where there is none.
    """
    from adagen.data.released import asset_path, catalogue, find, needed

    users, names = needed(config), names or list(catalogue(config.assets))
    width = max(map(len, names))
    lines = [f"{'name':{width}}  {'state':10}  size"]
    for name in names:
        asset, path = find(config.assets, name), asset_path(config.assets, name)
        lines.append(f"{name:{width}}  {_state(path, asset):10}  {_size(asset.size)}")
        about = f"{asset.file}, {_host(asset.url)}."
        if name in users:
            about += f" Needed by {', '.join(users[name])}."
        lines.append(_wrapped(f"{about} Licence: {asset.licence}."))
    return "\n".join(lines)


def _wrapped(text: str) -> str:
    """A paragraph below a line of the list."""
    columns = min(WIDEST, shutil.get_terminal_size().columns)
    return textwrap.fill(
        text,
        max(40, columns),
        initial_indent=INDENT,
        subsequent_indent=INDENT,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _host(url: str) -> str:
    """From where an asset is had."""
    try:
        host = urlsplit(url).hostname
    except ValueError:
        return "no address"
    return f"from {host}" if host else "by hand"


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
