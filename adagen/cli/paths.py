"""Paths that a command is given: outputs are compared with inputs, and held, before it runs.

A parameter that is a path is an input, unless its annotation has a `Kind` among its metadata, which
makes it an output. This holds for all commands: `adagen/cli/main.py` makes each a `Stage`.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args, get_type_hints

from typer.core import TyperCommand

from adagen.config import Config
from adagen.config.loading import load_config_and_files, read_config
from adagen.runtime.locks import exclusive_outputs
from adagen.runtime.outputs import Given, Kind, Output, check_outputs, is_same, lies_in
from adagen.runtime.portable import compute_portably


@dataclass(frozen=True)
class CommandPaths:
    """The paths of the command that runs.

    Attributes:
        outputs: what it writes.
        inputs: what it reads; files that its configuration names are added to them.
    """

    outputs: list[Output] = field(default_factory=list)
    inputs: list[Given] = field(default_factory=list)


_running: ContextVar[CommandPaths | None] = ContextVar("running", default=None)


class Stage(TyperCommand):
    """A command that starts once its paths are checked, and holds its outputs while it runs."""

    def invoke(self, context: Any) -> Any:
        """Run the command.

        Raises:
            AdagenError: an output is an input or another output, cannot be written, or is being
                written by another process.
        """
        paths = self._paths(context.params)
        before = _running.set(paths)
        try:
            with _holding(paths.outputs, paths.inputs):
                return super().invoke(context)
        finally:
            _running.reset(before)

    def _paths(self, values: Mapping[str, Any]) -> CommandPaths:
        """The paths that were given."""
        assert self.callback is not None
        kinds, paths = path_parameters(self.callback), CommandPaths()
        for parameter in self.params:
            name = str(parameter.name)
            value = values.get(name)
            if name not in kinds or value is None:
                continue
            option = parameter.opts[0] if parameter.opts[0].startswith("-") else name.upper()
            for path in value if isinstance(value, list | tuple) else [value]:
                if kind := kinds[name]:
                    paths.outputs.append(Output(option, path, kind))
                else:
                    paths.inputs.append(Given(option, path))
        return paths


def path_parameters(command: Callable[..., Any]) -> dict[str, Kind | None]:
    """The parameters of a command that are paths: the kind of an output, None for an input."""
    found: dict[str, Kind | None] = {}
    for name, annotation in get_type_hints(command, include_extras=True).items():
        kind, *metadata = get_args(annotation) or [annotation]
        if Path in (kind, *get_args(kind)) or _holds_paths(kind):
            found[name] = next((part for part in metadata if isinstance(part, Kind)), None)
    return found


def _holds_paths(kind: Any) -> bool:
    """True of `list[Path] | None` and the like."""
    return any(Path in get_args(part) for part in get_args(kind))


@contextmanager
def _holding(outputs: list[Output], inputs: list[Given]) -> Iterator[None]:
    """Check outputs, and hold them in the block; a folder of state has a lock of its own."""
    check_outputs(outputs, inputs)
    with _held(outputs):
        yield


def _held(outputs: Iterable[Output]) -> AbstractContextManager[None]:
    locked = (Kind.FILE, Kind.REPLACED)
    return exclusive_outputs(output.path for output in outputs if output.kind in locked)


@contextmanager
def holding_files(option: str, paths: Iterable[Path]) -> Iterator[None]:
    """Check files that an option stands for as if each was given as an output, and hold them.

    Args:
        option: the option that their folder was given by.
        paths: the files.

    Raises:
        AdagenError: as `Stage.invoke`.
    """
    running = _running.get() or CommandPaths()
    outputs = [Output(option, path) for path in dict.fromkeys(paths)]
    check_outputs([*running.outputs, *outputs], running.inputs)
    with _held(outputs):
        yield


def load_config(paths: Iterable[Path]) -> Config:
    """The configuration of a command, which writes none of the files that it names.

    Raises:
        AdagenError: as `adagen.config.load_config`; or an output is a config file, a file that one
            extends, the data set or a part of it, or a released file.
    """
    paths = list(paths)
    if read_config(paths).get("arithmetic") == "portable":
        compute_portably()  # before a package of a generator of its own is imported, and torch
    config, files = load_config_and_files(paths)
    if running := _running.get():
        named = [Given("the configuration", path) for path in files]
        named += _files_named(config, running.outputs)
        check_outputs(running.outputs, named)
        running.inputs.extend(named)
    return config


def _files_named(config: Config, outputs: Iterable[Output]) -> list[Given]:
    """Files and folders that a configuration names, of released files only those in danger."""
    dataset, assets = config.dataset, Path(config.assets.folder)
    named: dict[str, str | None] = {
        "dataset.folder": dataset.folder,
        "dataset.heldout_folder": dataset.heldout_folder,
        "preference.names": getattr(config.preference, "names", None),
    }
    found = [Given(f"key '{key}'", Path(value)) for key, value in named.items() if value]
    if any(
        is_same(output.path.parent, assets) or lies_in(assets, output.path) for output in outputs
    ):
        from adagen.data.released import catalogue

        files = [assets / asset.file for asset in catalogue(config.assets).values()]
        found += [Given("the asset", path) for path in files if path.exists()]
    return found
