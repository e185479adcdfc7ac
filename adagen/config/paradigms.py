"""Paradigms: where actions of the built-in ones have no effect, and those that others bring.

The latter are entry points of packages, or registered in Python (docs/generators.md).
"""

from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any, NamedTuple, get_args

from pydantic_core import PydanticKnownError

from adagen.config.base import Model, Paradigm
from adagen.runtime.names import nearest_first

GROUP = "adagen.generators"
"""Group of entry points: the name of one is a paradigm, and it leads to the paradigm's backbone."""


class Shipped(NamedTuple):
    """A paradigm that adagen ships beside the built-in ones, as a package would.

    It is imported when it is asked for, as it needs an extra.

    Attributes:
        backbone: what its backbone is imported from, as entry points say it.
        settings: the same of its settings, which need no extra.
        version: its files are bound to it.
    """

    backbone: str
    settings: str
    version: str


SHIPPED = {
    "stable_diffusion": Shipped(
        "adagen.integrations.diffusers.stable_diffusion:StableDiffusion",
        "adagen.config.stable_diffusion:StableDiffusionSettings",
        "1",
    )
}

_IN_PYTHON: dict[str, tuple[Any, str]] = {}
"""Backbone and version of every paradigm that was registered in this process."""


def action_names(paradigm: str, *, unmasking: str = "ratio") -> tuple[str, ...]:
    """The names of the actions of a built-in paradigm, in the order of their columns.

    Args:
        paradigm: any; of one that others bring nothing is known.
        unmasking: that of an experiment; a rule has a bound in place of the mask ratio.
    """
    first = "ratio" if unmasking == "ratio" else "bound"
    return {
        "maskgit": (first, "confidence_temperature", "sampling_temperature", "guidance"),
        "var": ("guidance", "top_k", "top_p", "temperature"),
        "dit": ("time", "guidance"),
        "sit": ("time", "guidance"),
    }.get(paradigm, ())


def calls_without_effect(
    paradigm: str, calls: int, *, method: str = "", unmasking: str = "ratio"
) -> dict[str, tuple[int, ...]]:
    """The calls at which an action of a built-in paradigm changes no image.

    The solvers' first call only chooses a time, VAR scales guidance by step / last step, and
    MaskGIT decodes the tokens drawn at its last step, whichever of them that step would mask.
    Generators say the same of their own actions; samples in files have no generator to ask.

    Args:
        paradigm: any; of one that others bring nothing is known.
        calls: T.
        method: how it is scheduled; the fixed order of "halton" asks for no confidence.
        unmasking: that of an experiment; a rule adds no noise to confidence.

    Returns:
        The calls by action, only of actions that have some.
    """
    if paradigm == "maskgit":
        without = method == "halton" or unmasking != "ratio"
        confidence = range(calls) if without else (calls - 1,)
        first, second, *_ = action_names(paradigm, unmasking=unmasking)
        return {first: (calls - 1,), second: tuple(confidence)}
    return {"guidance": (0,)} if is_built_in(paradigm) else {}


def is_built_in(paradigm: object) -> bool:
    """True if a paradigm is one of adagen's own families."""
    return paradigm in get_args(Paradigm)


def register(paradigm: str, backbone: Any, *, version: str) -> None:
    """Make a paradigm known in this process; one that was registered before is replaced.

    Raises:
        ValueError: the name is taken by a built-in or installed paradigm, or the backbone has no
            settings.
    """
    if is_built_in(paradigm):
        raise ValueError(f"{paradigm!r} is a built-in paradigm: choose another name")
    if paradigm in SHIPPED:
        raise ValueError(f"{paradigm!r} is one of adagen's own: choose another name")
    if found := _entry_points(paradigm):
        raise ValueError(f"{_described(found[0])}: choose another name, or uninstall it")
    _require_settings(backbone, f"{getattr(backbone, '__name__', backbone)} was registered")
    _IN_PYTHON[paradigm] = (backbone, version)


def registered(paradigm: object) -> Any:
    """The subclass of `adagen.generators.installed.InstalledBackbone` of a paradigm.

    Raises:
        ValueError: nobody brings it, several packages do, or it can't be loaded; a part of the
            error of the configuration that asks for it.
        AdagenError: adagen ships it, and the extra that it needs is not installed.
    """
    if isinstance(paradigm, str) and paradigm in _IN_PYTHON:
        return _IN_PYTHON[paradigm][0]
    if isinstance(paradigm, str) and paradigm in SHIPPED:
        return _imported(SHIPPED[paradigm].backbone)
    entry = _entry_point(paradigm)
    try:
        backbone = entry.load()
    except Exception as error:  # whatever a package raises when it is imported
        reason = f"{type(error).__name__}: {error}"
        raise ValueError(f"{_described(entry)}, but that cannot be imported ({reason})") from error
    _require_settings(backbone, _described(entry))
    return backbone


def package(paradigm: str) -> dict[str, str]:
    """Name and version of what brings a paradigm, to which the files of its generators are bound.

    A paradigm that was registered in Python has a version alone.
    """
    if paradigm in _IN_PYTHON:
        return {"name": "registered in Python", "version": _IN_PYTHON[paradigm][1]}
    if paradigm in SHIPPED:
        return {"name": "adagen", "version": SHIPPED[paradigm].version}
    distribution = _entry_point(paradigm).dist
    assert distribution is not None  # those that `entry_points` finds belong to a distribution
    return {"name": distribution.name, "version": distribution.version}


def settings_of(paradigm: object) -> Any:
    """The model of the settings of a paradigm that is not built in; errors are `registered`'s."""
    if isinstance(paradigm, str) and paradigm in SHIPPED:
        return _imported(SHIPPED[paradigm].settings)
    return registered(paradigm).settings


def _imported(place: str) -> Any:
    module, name = place.split(":")
    return getattr(import_module(module), name)


def _require_settings(backbone: Any, subject: str) -> None:
    """Raise ValueError unless a backbone has settings whose own declarations make sense."""
    settings = getattr(backbone, "settings", None)
    if not (isinstance(settings, type) and issubclass(settings, Model)):
        raise ValueError(
            f"{subject}, but that has no settings: a subclass of "
            "adagen.generators.installed.InstalledBackbone is expected"
        )
    for key in vars(settings).get("not_in_weights", ()):
        if key not in settings.model_fields:
            raise ValueError(
                f"{subject}, whose settings say that {key!r} is not in the weights, but have no "
                "such key"
            )


def _entry_points(paradigm: object) -> list[EntryPoint]:
    return [entry for entry in entry_points(group=GROUP) if entry.name == paradigm]


def _entry_point(paradigm: object) -> EntryPoint:
    found = _entry_points(paradigm)
    if not found:
        names = sorted({*entry_points(group=GROUP).names, *SHIPPED, *_IN_PYTHON})
        names = nearest_first(paradigm, names)
        installed = ", ".join(f"{name!r}" for name in names) or "none is"
        known = ", ".join(map(repr, nearest_first(paradigm, get_args(Paradigm))))
        raise PydanticKnownError(
            "union_tag_invalid",
            {
                "discriminator": "paradigm",
                "tag": str(paradigm),
                "expected_tags": f"{known}, or one of an installed package ({installed}; pip "
                "install the one it needs, or call adagen.register_generator)",
            },
        )
    if len(found) > 1:
        packages = " and ".join(_described(entry) for entry in found)
        raise ValueError(f"{packages}: uninstall all but one of them")
    return found[0]


def _described(entry: EntryPoint) -> str:
    distribution = entry.dist
    assert distribution is not None
    package = f"{distribution.name} {distribution.version}"
    return f"the package {package} registers {entry.name!r} as {entry.value}"
