"""Folders that may be classes, and those that are not; the order of classes."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adagen.data.folder import list_images
from adagen.data.layout import in_order
from adagen.runtime.errors import AdagenError


@pytest.mark.parametrize(
    ("wrapping", "stray"),
    [
        ("", "preview.png"),
        ("train/", "preview.png"),
        ("train/", "train/preview.png"),
        ("data/train/", "data/preview.png"),
        ("data/train/", "data/train/preview.png"),
    ],
)
def test_an_image_beside_folders_of_images_is_refused(write, files, wrapping, stray):
    """Beside the classes, or beside any folder around them."""
    place = write({wrapping + name: data for name, data in files.items()} | {stray: b""})
    with pytest.raises(AdagenError, match=rf"{place}/{stray} is an image beside folders of images"):
        list_images(place, "dataset.folder")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("train", "val"),
        ("Train", "Validation"),
        ("training_set", "test-images"),
        ("train2017", "val2017"),
        ("dev", "test"),
        ("ILSVRC2012_img_train", "ILSVRC2012_img_val"),
        ("held-out", "train"),
    ],
)
def test_parts_of_a_data_set_are_no_classes(write, files, one, other):
    """With classes in them, or with images right in them."""
    one, other = sorted((one, other))
    for i, inner in enumerate((files, {name.partition("/")[2]: b"" for name in files})):
        place = write({f"{part}/{name}": b"" for part in (one, other) for name in inner}, f"s{i}")
        with pytest.raises(AdagenError, match=rf"{one} lies beside {other}: .*'dataset\.folder'"):
            list_images(place, "dataset.folder")


def test_a_part_beside_the_classes_is_refused_and_a_class_called_train_is_not(write, files):
    place = write(files | {"test/cat/0.png": b""}, "beside")
    with pytest.raises(AdagenError, match="test lies beside cat, dog"):
        list_images(place, "k")
    for other in ("unlabeled", "extra"):  # STL-10 and SVHN have such
        place = write(
            {f"{other}/0.png": b"", "train/cat/0.png": b"", "train/dog/1.png": b""}, other
        )
        with pytest.raises(AdagenError, match=f"train lies beside {other}"):
            list_images(place, "k")
    # CIFAR-100 has such a class, and Tiny ImageNet a folder of this name in every class.
    for i, names in enumerate((("cat", "train", "tulip"), ("bullet train", "test tube", "test 2"))):
        place = write({f"{name}/images/0.png": b"" for name in names}, f"set{i}")
        assert set(list_images(place, "k").class_names) == set(names)


def test_folders_named_by_numbers_keep_their_order(write, as_png):
    names = [str(number) for number in range(12)]
    listed = list_images(write({f"{name}/a.png": b"" for name in names}), "k")
    assert listed.class_names == tuple(names)
    assert listed.names == [f"{name}/a.png" for name in names]
    assert listed.labels.tolist() == list(range(12))


@given(st.lists(st.integers(0, 10**30), unique=True), st.lists(st.text("abc-_ é1", min_size=1)))
@settings(max_examples=50)
def test_numbers_come_first_and_in_order(numbers, texts):
    texts = [text for text in texts if not (text.isascii() and text.isdigit())]
    names = [str(number) for number in numbers] + texts
    expected = [str(number) for number in sorted(numbers)] + sorted(texts)
    assert in_order(reversed(names)) == expected


def test_leading_zeros_change_nothing():
    assert in_order(["010", "9", "8", "08"]) == ["08", "8", "9", "010"]
