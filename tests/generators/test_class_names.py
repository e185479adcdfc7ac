"""Labels of a data set mean what those of a generator mean."""

from dataclasses import dataclass

import pytest

from adagen.generators.class_names import require_same_classes
from adagen.runtime.errors import AdagenError


@dataclass
class Named:
    """The attributes of a generator that are looked at."""

    num_classes: int
    class_names: tuple[str, ...] = ()
    released: bool = False
    hash: str = "h"
    conditions: object = None


def check(names, generator):
    require_same_classes(generator, names, source="data set 'd'")


def test_another_number_of_classes_is_refused():
    with pytest.raises(AdagenError, match="data set 'd' has 2 classes, but the generator makes 3"):
        check(["a", "b"], Named(3))


def test_names_and_their_order_are_those_of_the_fit():
    check(["a", "b"], Named(2, ("a", "b")))
    for names in (["b", "a"], ["a", "c"]):
        with pytest.raises(AdagenError, match=r"label [01] is class .* fitted to"):
            check(names, Named(2, ("a", "b")))


def test_a_generator_of_an_older_version_numbered_folders_as_text():
    numbers = [str(number) for number in range(11)]
    with pytest.raises(AdagenError, match=r"older version .*\(0, 1, 10, ...\).* \(0, 1, 2, ...\)"):
        check(numbers, Named(11))
    check(numbers[:10], Named(10))
    check(numbers, Named(11, hash=""))  # one that was built by hand


def test_a_released_generator_has_labels_of_its_own(capsys):
    released = Named(1000, released=True)
    check([str(number) for number in range(1000)], released)
    check([f"{number:04}" for number in range(1000)], released)
    for names in (
        [
            str(number) for number in range(1, 1001)
        ],  # as in the development kit, whose order differs
        [f"n{number:08}" for number in range(1000)],
        [f"animal {number:03}" for number in range(1000)],
    ):
        with pytest.raises(AdagenError, match=r"released generator.*name .*by"):
            check(names, released)
    assert not capsys.readouterr().err
    check(["cat", "dog"], Named(2, released=True))
    assert "label 0 is class 'cat'" in capsys.readouterr().err


def test_the_synsets_of_imagenet_are_known():
    info = pytest.importorskip("timm.data").ImageNetInfo()
    synsets = info.label_names()
    check(synsets, Named(1000, released=True))
    with pytest.raises(AdagenError, match="n01440764 is label 0"):
        check([synsets[1], synsets[0], *synsets[2:]], Named(1000, released=True))
