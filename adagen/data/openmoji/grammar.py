"""Scenes and their captions: "a red apple", "two foxes", "a fox left of a tree".

The grammar goes both ways: a scene has one caption, and a caption is read back into its scene. Some
combinations are in no training caption, by their names alone: a colour of each glyph that takes
colours, some glyphs in twos, some pairs. So train and held-out captions can't overlap.
"""

import itertools
import re
import zlib
from collections.abc import Iterator
from typing import Literal, NamedTuple, get_args

from adagen.data.openmoji.glyphs import COLOURED, COLOURS, NAMES
from adagen.runtime.errors import AdagenError

Kind = Literal["one", "two", "and", "left of", "right of", "above", "below"]
KINDS: tuple[Kind, ...] = get_args(Kind)
RELATIONS: tuple[Kind, ...] = KINDS[2:]
Layout = Literal["alone", "side by side", "stacked"]
LAYOUTS: tuple[Layout, ...] = get_args(Layout)

SHARE = 5
"""One in so many pairs, and of the glyphs in twos, is held out."""
PLURALS = {"fish": "fish", "snowman": "snowmen", "butterfly": "butterflies"}


class Thing(NamedTuple):
    """A glyph in a scene.

    Attributes:
        name: a key of `NAMES`.
        colour: one of `COLOURS`; "" for a glyph of its own colours, or for any colour if the glyph
            takes colours.
    """

    name: str
    colour: str = ""

    def __str__(self) -> str:
        return f"{self.colour} {self.name}".strip()


class Scene(NamedTuple):
    """The content of a caption.

    Attributes:
        kind: how many things there are, and where.
        things: one, or two for a pair.
    """

    kind: Kind
    things: tuple[Thing, ...]


class Seen(NamedTuple):
    """The content of an image: things in reading order, each with its colour.

    Attributes:
        layout: whether there is one thing, or how two of them lie.
        things: one, or two from left to right or from top to bottom.
    """

    layout: Layout
    things: tuple[Thing, ...]


def caption_of(scene: Scene) -> str:
    """The caption of a scene."""
    first, *rest = scene.things
    if scene.kind == "two":
        return f"two {Thing(plural(first.name), first.colour)}"
    return _with_article(first) + "".join(f" {scene.kind} {_with_article(t)}" for t in rest)


def read_caption(text: str) -> Scene:
    """The scene that a caption describes.

    Raises:
        AdagenError: it is no caption of the grammar.
    """
    words = re.sub(r"[.!]$", "", " ".join(text.lower().split()))
    if match := re.fullmatch(r"two (.+)", words):
        colour, _, name = match[1].rpartition(" ")
        return Scene("two", (_thing(colour, _SINGULARS.get(name, ""), text),))
    for kind in RELATIONS:
        parts = words.split(f" {kind} ")
        if len(parts) == 2:
            return Scene(kind, tuple(_noun(part, text) for part in parts))
    return Scene("one", (_noun(words, text),))


def is_held_out(scene: Scene) -> bool:
    """True if no training caption may have this combination."""
    names = sorted(thing.name for thing in scene.things)
    if any(thing in HELD_OUT_COLOURS for thing in scene.things):
        return True
    return (
        scene.kind != "one" and zlib.crc32(f"{scene.kind == 'two'} {names}".encode()) % SHARE == 0
    )


HELD_OUT_COLOURS = frozenset(
    Thing(name, COLOURS[(3 * i + 1) % len(COLOURS)]) for i, name in enumerate(COLOURED)
)
"""The colour of each glyph that no training caption gives it."""


def things() -> Iterator[Thing]:
    """All things: glyphs of their own colours, and those that take colours in any and in each."""
    for name in NAMES:
        yield Thing(name)
        yield from (Thing(name, colour) for colour in COLOURS if name in COLOURED)


def singles(kind: Kind) -> Iterator[Scene]:
    """All scenes of one kind of thing: one of it, or two."""
    return (Scene(kind, (thing,)) for thing in things())


def readings(scene: Scene) -> set[Seen]:
    """All that an image may show for a scene to be right, with the colours that things may have."""
    choices = [_colourings(thing) for thing in scene.things]
    if scene.kind == "one":
        return {Seen("alone", (thing,)) for thing in choices[0]}
    layouts: tuple[Layout, ...] = ("side by side", "stacked")
    if scene.kind == "two":
        twice = list(itertools.product(choices[0], repeat=2))
        return {Seen(layout, pair) for layout in layouts for pair in twice}
    pairs = list(itertools.product(*choices))
    turned = [(second, first) for first, second in pairs]
    match scene.kind:
        case "left of":
            return {Seen("side by side", pair) for pair in pairs}
        case "right of":
            return {Seen("side by side", pair) for pair in turned}
        case "above":
            return {Seen("stacked", pair) for pair in pairs}
        case "below":
            return {Seen("stacked", pair) for pair in turned}
    return {Seen(layout, pair) for layout in layouts for pair in (*pairs, *turned)}


def plural(name: str) -> str:
    """The plural of a name."""
    return PLURALS.get(name, f"{name}es" if name.endswith(("s", "x")) else f"{name}s")


_SINGULARS = {plural(name): name for name in NAMES}


def _colourings(thing: Thing) -> list[Thing]:
    """The thing in all colours that it may have."""
    if thing.colour or thing.name not in COLOURED:
        return [thing]
    return [Thing(thing.name, colour) for colour in COLOURS]


def _with_article(thing: Thing) -> str:
    text = str(thing)
    return f"{'an' if text[0] in 'aeiou' else 'a'} {text}"


def _noun(text: str, whole: str) -> Thing:
    """The thing of "a red apple"."""
    match = re.fullmatch(r"(?:an? |one |the )?(?:(\w+) )?(\w+)", text)
    return _thing(match[1] or "", match[2], whole) if match else _thing("", "", whole)


def _thing(colour: str, name: str, whole: str) -> Thing:
    """The thing of a name and a colour.

    Raises:
        AdagenError: there is no such glyph, or it doesn't take that colour.
    """
    if name not in NAMES or (colour and (colour not in COLOURS or name not in COLOURED)):
        raise AdagenError(
            f"{whole[:80]!r} is no caption of OpenMoji's scenes: expected one like 'a red apple', "
            "'two foxes' or 'a fox left of a tree'. `adagen.data.openmoji.glyphs` has the names "
            "and colours."
        )
    return Thing(name, colour)
