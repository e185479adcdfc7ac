"""`adagen dataset`: a look through the images, their classes or captions."""

from collections.abc import Mapping
from typing import Any

import typer

from adagen.cli.options import Configs, Out
from adagen.cli.paths import load_config

app = typer.Typer()

LISTED = 50
"""Number of classes that `adagen dataset` prints, at most."""


@app.command()
def dataset(config: Configs, out: Out) -> None:
    """Look through the data set: classes, counts and a hash of the file list, as JSON."""
    settings = load_config(config)
    from adagen.data.inventory import inventory
    from adagen.data.seen import seen_file
    from adagen.runtime.files import write_json

    found = inventory(settings.dataset, seen=seen_file(settings))
    write_json(out, found)
    typer.echo("\n".join(_inventory_lines(found)))


def _inventory_lines(found: Mapping[str, Any]) -> list[str]:
    """A table of the classes, of which the middle is left out where there are many.

    Of captions it is a sentence for each of their files.
    """
    captions = found.get("captions")
    channels, height, width = found["image_shape"]
    conditions = f"{captions['count']} captions" if captions else f"{len(found['classes'])} classes"
    head = (
        f"{found['name']}: {conditions}; {sum(found['train'])} images for training, "
        f"{sum(found['heldout'])} held out; {width}x{height} pixels, "
        f"{'grey' if channels == 1 else 'colour'}"
    )
    if captions:
        read = [f"{file}: {sentence}." for file, sentence in captions["read"].items()]
        reported = f"{captions['reported']} captions are reported: {captions['reported_hash'][:8]}"
        return [head, *read, reported]
    rows = list(zip(found["classes"], found["train"], found["heldout"], strict=True))
    lines = [head, f"{'label':>5}  {'train':>8}  {'heldout':>8}  class"]
    shown = [*range(LISTED - 1), len(rows) - 1] if len(rows) > LISTED else range(len(rows))
    for label in shown:
        name, train, heldout = rows[label]
        # A file name may have any bytes, and a terminal does not.
        text = name.encode("unicode_escape" if not name.isprintable() else "utf-8").decode()
        lines.append(f"{label:>5}  {train:>8}  {heldout:>8}  {text}")
    if len(rows) > LISTED:
        lines.insert(-1, f"{'...':>5}")
    return lines
