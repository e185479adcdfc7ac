"""One page of all tables and figures, each with its caption and the command that makes it."""

import os
from collections.abc import Sequence
from pathlib import Path

from adagen.runtime.atomic import atomic_path
from adagen.runtime.errors import AdagenError


def write_page(
    name: str, files: Sequence[Path], *, captions: Path, options: str, out: Path
) -> None:
    """Write the page, in Markdown.

    Tables and figures of one name share a section; files that differ only in their ending share a
    line.

    Args:
        name: of the run.
        files: `<folder>/tables/<name>.<ending>` and `<folder>/figures/<name>.<ending>`; sections
            keep the order of their first file.
        captions: folder of `<name>_table.rst` and `<name>.rst`. A table without a caption of its
            own has that of the figure, and `<name>_<run>` has that of `<name>`.
        options: options of Snakemake that select the run's configuration.
        out: file to write; links are relative to it.

    Raises:
        AdagenError: a file has no caption, or is neither a table nor a figure.
    """
    sections: dict[str, dict[str, list[Path]]] = {}
    for path in files:
        kind = path.parent.name
        if kind not in ("tables", "figures"):
            raise AdagenError(f"{path} is neither in a folder 'tables' nor in one 'figures'.")
        within = os.path.relpath(path.parents[1], out.parent)
        title = path.stem if within == "." else f"{within}: {path.stem}"
        sections.setdefault(title, {}).setdefault(kind, []).append(path)
    lines = [
        f"# {name}: tables and figures",
        "",
        "Made by `snakemake paper`. The command under each makes it again, with whatever it needs",
        "that is out of date.",
    ]
    last = ""  # a caption stands once above all that share it
    for title, kinds in sections.items():
        lines += ["", f"## {title}"]
        for kind, paths in kinds.items():
            caption = _caption(paths[0], kind, captions)
            lines += ["", *_shown(paths, out.parent)]
            lines += ["", caption] if caption != last else []
            lines += ["", f"    snakemake --cores all {paths[0]} {options}".rstrip()]
            last = caption
    with atomic_path(out) as temporary:
        temporary.write_text("\n".join([*lines, ""]), encoding="utf-8")


def _caption(path: Path, kind: str, captions: Path) -> str:
    """The caption as Markdown, whose code spans have one backtick on each side."""
    names = [f"{path.stem}_table"] if kind == "tables" else []
    names += [path.stem, path.stem.partition("_")[0]]
    for name in names:
        if (file := captions / f"{name}.rst").exists():
            return file.read_text(encoding="utf-8").strip().replace("``", "`")
    raise AdagenError(f"{path} has no caption: write {captions / path.stem}.rst.")


def _shown(paths: Sequence[Path], folder: Path) -> list[str]:
    """The image, where a page can show one, and links to all files."""
    links = {path.suffix[1:]: os.path.relpath(path, folder) for path in paths}
    image = [f"![{paths[0].stem}]({links['png']})", ""] if "png" in links else []
    return [*image, ", ".join(f"[{ending}]({link})" for ending, link in links.items())]
