"""Pictures say what they were drawn from: the runs, and a hash of the settings of each.

It stands in the metadata of a PNG or PDF, where it stays whatever the file is called.
"""

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, Self

from adagen.config import Config
from adagen.config.bindings import (
    Binding,
    of_diagnosis,
    of_judgement,
    of_metrics,
    of_policy,
    of_samples,
)
from adagen.config.runs import Run
from adagen.data.bound import alignment_of, require_experiment
from adagen.runtime.documents import parse_json
from adagen.runtime.errors import AdagenError
from adagen.runtime.limits import TEXT_BYTES, read_bytes

Of = Literal["samples", "metrics", "judgement", "policy", "diagnosis", "alignment"]


@dataclass(frozen=True)
class Drawn:
    """Something that a picture shows.

    Attributes:
        of: what it is of a run.
        run: the run.
        by: the experiment whose reward judged it; empty but for a judgement.
    """

    of: Of
    run: Run
    by: str = ""

    @classmethod
    def read(cls, entry: dict[str, Any]) -> tuple[Self, str]:
        """Read an entry of the metadata; with it comes the hash of its settings."""
        return cls(entry["of"], Run(**entry["run"]), entry["by"]), entry["settings"]

    def settings(self, config: Config) -> str:
        """The hash of the settings by which a configuration would make it."""
        text = json.dumps(self._binding(config), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def _binding(self, config: Config) -> Binding:
        experiment, method = self.run.experiment, self.run.method
        if self.of == "samples":
            return of_samples(config, self.run)
        if self.of == "metrics":
            return of_metrics(config, self.run)
        if self.of == "judgement":
            return of_judgement(config, self.run, experiment=self.by)
        if self.of == "policy":
            return of_policy(config, experiment, method=method)
        if self.of == "alignment":
            return alignment_of(config, self.run)
        return of_diagnosis(config, experiment)


def describe(drawn: Iterable[Drawn], config: Config) -> str:
    """The metadata of a picture, in ASCII and without brackets of PDF."""
    entries = [{**asdict(one), "settings": one.settings(config)} for one in dict.fromkeys(drawn)]
    return json.dumps(entries, separators=(",", ":"))


KEY = "adagen"
"""Key of the metadata in a PNG. PDF has keys of its own, of which `Keywords` is the nearest."""
IN_PDF = re.compile(rb"/Keywords \((\[[^()\\]*\])\)")


def metadata(path: Path, text: str) -> dict[str, str]:
    """The metadata to save a picture with."""
    return {KEY if path.suffix == ".png" else "Keywords": text} if text else {}


def require_drawn(path: Path, config: Config) -> None:
    """Refuse a picture that this configuration would draw of other numbers or images.

    Raises:
        AdagenError: it is missing, no picture of `adagen figure`, or a setting differs.
    """
    for drawn, settings in _read(path):
        run = drawn.run
        for experiment in filter(None, (run.experiment, drawn.by)):
            require_experiment(path, experiment, config=config)
        lacking = run.refinement and run.refinement not in config.refinements
        if lacking or drawn.settings(config) != settings:
            raise AdagenError(
                f"{path} was drawn of {run.experiment} {run.name} with other settings than those "
                f"of the configuration. {AGAIN}"
            )


AGAIN = "Draw it again by `adagen figure`, or ask Snakemake for the figure with `--force`."


def _read(path: Path) -> list[tuple[Drawn, str]]:
    try:
        return [Drawn.read(entry) for entry in parse_json(_text(path))]
    except FileNotFoundError:
        raise AdagenError(f"{path} does not exist. Run `adagen figure` first.") from None
    except (OSError, SyntaxError, ValueError, TypeError, KeyError, AttributeError):
        raise AdagenError(
            f"{path} doesn't say what it was drawn from: it is of an older version of adagen, or "
            f"no picture of `adagen figure`. {AGAIN}"
        ) from None


def _text(path: Path) -> str:
    """The metadata in a picture.

    Raises:
        ValueError: it has none.
        OSError: it is no picture.
    """
    if path.suffix == ".png":
        from PIL import Image, PngImagePlugin  # tables need not wait for it

        with Image.open(path, formats=["PNG"]) as image:
            assert isinstance(image, PngImagePlugin.PngImageFile)
            image.load()
            return str(image.text[KEY])
    found = IN_PDF.search(read_bytes(path, most=TEXT_BYTES))
    if found is None:
        raise ValueError("no metadata")
    return found[1].decode()
