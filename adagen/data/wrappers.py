"""Finding a network's weights in what trainers save around, beside and before them.

A training file holds weights, mostly averaged ones too, and much else. Averaged weights are always
the ones that are wanted. Where it can't be told which they are, the file is refused: it is never
guessed.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import torch

Tensors = dict[str, torch.Tensor]
Place = tuple[str, ...]
"""Keys that lead from the top of a file to a part of it."""

WRAPPERS = (
    "state_dict",
    "model_state_dict",
    "model",
    "module",
    "network",
    "net",
    "params",
    "weights",
    "trainer",
    "var_wo_ddp",
)
"""Names of weights that are not averaged, or of what they lie in."""
AVERAGED = {"ema", "averaged", "swa", "shadow", "polyak"}
"""Words in the names of averaged weights, such as `model_ema`, `state_dict_ema` or `netG_EMA`."""
OPTIMISERS = {"opt", "optim", "optimizer", "optimiser", "optimizers", "scheduler", "schedulers"}
"""Words in the names of what an optimiser keeps, which are no weights."""
TRANSPARENT = {"_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"}
"""Parts of keys that torch puts in when it compiles, shards or checkpoints a module."""
DEPTH = 20
"""Most levels of mappings that are looked into."""


class LayoutError(Exception):
    """It can't be told which weights are wanted; the message says what the file holds."""


def find_weights(content: Any, wanted: Collection[str] = ()) -> Mapping[Any, Any]:
    """The weights in the content of a file, with the keys that their network gave them.

    Args:
        content: what was read; mostly nested mappings.
        wanted: keys of the network that is expected, which tell it from other networks in the file.

    Returns:
        A mapping from keys to tensors, empty where the file holds none by key. If tensors are mixed
        with something else, all of it.

    Raises:
        LayoutError: there are several sets of weights, or averaged weights without names.
    """
    everything, nameless = _tensors_in(content)
    named = {p: part for p, part in everything.items() if not _has_word(p, OPTIMISERS)}
    if averaged := {place: part for place, part in named.items() if _is_averaged(place)}:
        return _choose(averaged, "averaged weights", wanted=wanted)
    # Some optimisers average the weights, as a list in the order of the parameters.
    if hidden := [place for place in (*nameless, *everything) if _is_averaged(place)]:
        raise LayoutError(f"holds averaged weights, but not by key ({_shown(hidden[0])})")
    return _choose(named, "weights", wanted=wanted) if named else {}


def _tensors_in(content: Any) -> tuple[dict[Place, Mapping[Any, Any]], list[Place]]:
    """All mappings that hold tensors by key, and the places of all lists of tensors.

    Each is found once.
    """
    named: dict[Place, Mapping[Any, Any]] = {}
    nameless: list[Place] = []
    seen: set[int] = set()

    def look(part: Any, place: Place) -> None:
        if id(part) in seen or len(place) > DEPTH:
            return
        if isinstance(part, Mapping):
            seen.add(id(part))
            if any(isinstance(value, torch.Tensor) for value in part.values()):
                named[place] = part
            for key, value in part.items():
                look(value, (*place, str(key)))
        elif isinstance(part, list | tuple):
            seen.add(id(part))
            if any(isinstance(value, torch.Tensor) for value in part):
                nameless.append(place)
            for number, value in enumerate(part):
                look(value, (*place, str(number)))

    look(content, ())
    return named, nameless


def _choose(parts: Mapping[Place, Any], kind: str, *, wanted: Collection[str]) -> Mapping[Any, Any]:
    """One of several parts of a file: the only one with the wanted keys, or of a known name."""
    places, depth, keys = list(parts), 0, {}
    if len(places) > 1:
        keys = {place: _keys(part, wanted) for place, part in parts.items()}
        fitting = [place for place in places if wanted and keys[place] >= set(wanted)]
        places = fitting if len(fitting) == 1 else places
    while len(places) > 1:
        names = list(dict.fromkeys(place[depth] for place in places if len(place) > depth))
        known = [name for name in WRAPPERS if name in names]
        if len(names) > 1 and (len(known) != 1 or _is_averaged(names)):
            raise _several(kind, places)
        name = known[0] if known else names[0]
        # Tensors beside a set of weights are counters or settings.
        places = [place for place in places if place[depth : depth + 1] == (name,)]
        depth += 1
    # Weights of the same network under a name that is not known may be the averaged ones.
    if alike := [p for p in keys if p != places[0] and keys[p] == keys[places[0]]]:
        raise _several(kind, [places[0], *alike])
    return _as_named(parts[places[0]], wanted)


def _several(kind: str, places: Sequence[Place]) -> LayoutError:
    shown = ", ".join(map(_shown, places[:4]))
    return LayoutError(
        f"holds several sets of {kind} ({shown}), and it can't be told which are wanted"
    )


def _keys(part: Mapping[Any, Any], wanted: Collection[str]) -> set[Any]:
    """The keys of weights as their network gave them; none if that can't be told."""
    try:
        return set(_as_named(part, wanted))
    except LayoutError:
        return set()


def _as_named(tensors: Mapping[Any, Any], wanted: Collection[str]) -> Mapping[Any, Any]:
    """Tensors by the keys that their network gave them, without what wrappers put before these."""
    if any(not isinstance(key, str) for key in tensors):
        return tensors
    plain = {_without_transparent(key): value for key, value in tensors.items()}
    if len(plain) != len(tensors):
        raise LayoutError("holds weights twice, compiled and not compiled")
    own = {key.partition(".")[0] for key in wanted}
    while True:
        groups = list(dict.fromkeys(key.partition(".")[0] for key in plain if "." in key))
        averaged = [name for name in groups if _is_averaged([name]) and name not in own]
        if len(averaged) > 1:
            raise LayoutError(f"holds several sets of averaged weights ({', '.join(averaged)})")
        if averaged:
            plain = _renamed(_group(plain, averaged[0]), plain)
        elif wanted and set(wanted) <= plain.keys():
            return plain
        elif len(groups) == 1 and groups[0] in WRAPPERS and _only_counts(plain):
            plain = _group(plain, groups[0])
        else:
            return _told_apart(plain, wanted)


def _only_counts(tensors: Tensors) -> bool:
    """True if no key stands without a dot, but for the counter of torch's averaged models."""
    return {key for key in tensors if "." not in key} <= {"n_averaged"}


def _group(tensors: Tensors, name: str) -> Tensors:
    """The tensors whose keys begin with a name and a dot, without these."""
    prefix = f"{name}."
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def _renamed(averaged: Tensors, beside: Tensors) -> Tensors:
    """Averaged weights whose names have lost their dots, with the names of the weights beside them.

    Files of latent diffusion (LitEma) keep them so.
    """
    counters = {"decay", "num_updates"}
    dotted = [key.partition(".")[2] for key in beside if not _is_averaged(key.split(".")[:1])]
    names = {name.replace(".", ""): name for name in dotted if name}
    if any("." in key for key in averaged) or not averaged.keys() - counters <= names.keys():
        return averaged
    return {names[key]: value for key, value in averaged.items() if key not in counters}


def _told_apart(tensors: Tensors, wanted: Collection[str]) -> Tensors:
    """The part of the tensors that has the wanted keys behind a common prefix; else all of them."""
    first, *others = wanted or [""]
    prefixes = [
        key.removesuffix(first)
        for key in tensors
        if first
        and key.endswith(f".{first}")
        and all(f"{key.removesuffix(first)}{other}" in tensors for other in others)
    ]
    averaged = [prefix for prefix in prefixes if _is_averaged(prefix.split("."))]
    if len(averaged or prefixes) > 1:
        raise LayoutError(
            f"holds several networks of the same kind ({', '.join(prefixes[:4])}), and it can't be "
            "told which is wanted"
        )
    for prefix in averaged or prefixes:
        beside = [key for key in tensors if not key.startswith(prefix)]
        if not averaged and any(_is_averaged(key.split(".")[:-1]) for key in beside):
            raise LayoutError(
                f"holds averaged weights too, but with other keys than the network {prefix[:-1]!r}"
            )
        return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
    return tensors


def _without_transparent(key: str) -> str:
    return ".".join(part for part in key.split(".") if part not in TRANSPARENT)


def _is_averaged(place: Iterable[str]) -> bool:
    return _has_word(place, AVERAGED)


def _has_word(place: Iterable[str], words: set[str]) -> bool:
    return any(words & _words(name) for name in place)


def _words(name: str) -> set[str]:
    """The words of a name such as `ema_params`, `modelEMA` or `ema-0.9999`, in lower case."""
    return {word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)}


def _shown(place: Sequence[str]) -> str:
    return ".".join(place) or "the top of the file"
