"""Paradigms that other packages bring: what they register as entry points (docs/generators.md)."""

from importlib.metadata import EntryPoint, entry_points
from typing import Any, get_args

from pydantic_core import PydanticKnownError

from adagen.config.base import Model, Paradigm

GROUP = "adagen.generators"
"""Group of entry points: the name of one is a paradigm, and what it leads to its backbone."""


def registered(paradigm: object) -> Any:
    """The subclass of `adagen.generators.installed.InstalledBackbone` of a paradigm.

    Raises:
        ValueError: no package brings it, several do, or it can't be loaded; a part of the error
            of the configuration that asks for it.
    """
    entry = _entry_point(paradigm)
    try:
        backbone = entry.load()
    except Exception as error:  # whatever a package raises when it is imported
        reason = f"{type(error).__name__}: {error}"
        raise ValueError(f"{_told(entry)}, but that cannot be imported ({reason})") from error
    settings = getattr(backbone, "settings", None)
    if not (isinstance(settings, type) and issubclass(settings, Model)):
        raise ValueError(
            f"{_told(entry)}, but that has no settings: a subclass of "
            "adagen.generators.installed.InstalledBackbone is expected"
        )
    return backbone


def package(paradigm: str) -> dict[str, str]:
    """Name and version of the package that brings a paradigm."""
    about = _entry_point(paradigm).dist
    assert about is not None  # those that `entry_points` finds belong to a distribution
    return {"name": about.name, "version": about.version}


def _entry_point(paradigm: object) -> EntryPoint:
    known = entry_points(group=GROUP)
    found = [entry for entry in known if entry.name == paradigm]
    if not found:
        installed = ", ".join(f"{name!r}" for name in sorted(known.names)) or "none is"
        told = ", ".join(f"{name!r}" for name in get_args(Paradigm))
        told = f"{told}, or one of an installed package ({installed}; pip install the one it needs)"
        raise PydanticKnownError(
            "union_tag_invalid",
            {"discriminator": "paradigm", "tag": str(paradigm), "expected_tags": told},
        )
    if len(found) > 1:
        told = " and ".join(_told(entry) for entry in found)
        raise ValueError(f"{told}: uninstall all but one of them")
    return found[0]


def _told(entry: EntryPoint) -> str:
    about = entry.dist
    assert about is not None
    return f"the package {about.name} {about.version} registers {entry.name!r} as {entry.value}"
