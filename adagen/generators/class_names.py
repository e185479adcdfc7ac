"""The classes of a data set are those of a generator, in the same order.

A label is a number. It means the class that the generator was fitted to as that number, and the
class that a data set lists at that position. Policies would be trained to mix the two up where
these differ.
"""

import hashlib
from collections.abc import Sequence
from typing import Any

from adagen.data.layout import is_number
from adagen.generators.base import Generator
from adagen.generators.stored_text import StoredCaptions
from adagen.runtime.errors import AdagenError
from adagen.runtime.notices import warn

IMAGENET = "385e0240499426c022b773be1ae4da780f057b89c9694c7f47199f62746b6edd"
"""SHA-256 of the 1000 synsets of ILSVRC 2012 in order, n01440764 to n15075141, one a line. Their
positions are the labels of all generators that were released for ImageNet."""


def require_same_classes(generator: Generator[Any], names: Sequence[str], *, source: str) -> None:
    """Refuse a data set whose labels do not mean what the generator's labels mean.

    Args:
        generator: a generator. One that was built by hand has no names of classes.
        names: the classes of the data set, in the order of their labels.
        source: what the data set is called, for messages.

    Raises:
        AdagenError: the numbers of classes differ, or their names or order.
    """
    if len(names) != generator.num_classes:
        raise AdagenError(
            f"{source} has {len(names)} classes, but the generator makes {generator.num_classes}: "
            "give the images that it was trained on."
        )
    if isinstance(generator.conditions, StoredCaptions):
        generator.conditions.require_same(names, source)
    elif generator.released:
        _require_released_order(names, source)
    elif generator.class_names:
        for label, (found, expected) in enumerate(zip(names, generator.class_names, strict=True)):
            if found != expected:
                raise AdagenError(
                    f"label {label} is class {found!r} in {source}, but the generator was fitted "
                    f"to {expected!r} as label {label}: give the images that it was trained on."
                )
    elif generator.hash and list(names) != sorted(names):
        raise AdagenError(
            f"the generator was fitted by an older version of adagen, which sorted the classes of "
            f"{source} as text ({', '.join(sorted(names)[:3])}, ...); now those that are numbers "
            f"keep their order ({', '.join(names[:3])}, ...). Run `adagen pretrain` again."
        )


def _require_released_order(names: Sequence[str], source: str) -> None:
    """Refuse names that do not say that labels are those of the released weights."""
    if all(map(is_number, names)):
        if [name.lstrip("0") or "0" for name in names] == [str(i) for i in range(len(names))]:
            return
        raise AdagenError(
            f"{source} has classes {names[0]!r} to {names[-1]!r}, but the labels of the released "
            f"generator are 0 to {len(names) - 1}: name each folder by the label of its class."
        )
    if len(names) != 1000:
        warn(
            f"label 0 is class {names[0]!r} in {source}, and {len(names) - 1} is {names[-1]!r}; "
            "nothing says which classes the released generator makes by these labels."
        )
    elif hashlib.sha256("\n".join(map(_text, names)).encode()).hexdigest() != IMAGENET:
        raise AdagenError(
            f"{source} has classes {names[0]!r} to {names[-1]!r}, whose order is not that of the "
            "released generator: name the folders by the synsets of ILSVRC 2012 (n01440764 is "
            "label 0), or by their labels, 0 to 999."
        )


def _text(name: str) -> str:
    """A name that can be encoded, whatever bytes it came from."""
    return name.encode(errors="replace").decode()
