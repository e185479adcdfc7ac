"""Which images a folder or a zip has, and what is said when there are none."""

import hashlib
import zipfile

import pytest
from torchvision.datasets import ImageFolder
from torchvision.datasets.folder import IMG_EXTENSIONS

from adagen.data.folder import list_images
from adagen.data.listing import EXTENSIONS
from adagen.runtime.errors import AdagenError


def test_a_folder_and_its_zip_list_the_same_whatever_is_around_them(write, files):
    digest = hashlib.sha256()
    for name, content in files.items():
        digest.update(f"{name}\0{len(content)}\n".encode())
    for wrapping in ("", "train/", "data/imagenet/"):
        place = write({wrapping + name: data for name, data in files.items()}, f"in{len(wrapping)}")
        listed = list_images(place, "dataset.folder")
        assert listed.names == list(files) and listed.sizes == [len(f) for f in files.values()]
        assert listed.class_names == ("cat", "dog")
        assert listed.labels.tolist() == [0] * 10 + [1] * 10
        assert listed.hash == digest.hexdigest()
        assert listed.read(13) == files["dog/13.png"]
        assert listed.location(13) == f"{place}/{wrapping}dog/13.png"


def test_the_list_is_torchvisions(write, files, tmp_path):
    place = write(files | {"cat/b.JPEG": b"", "cat/a.webp": b"", "cat/notes.txt": b""})
    listed = list_images(place, "dataset.folder")
    assert EXTENSIONS == IMG_EXTENSIONS
    if place.is_dir():
        theirs = ImageFolder(str(place))
        assert [listed.location(i) for i in range(len(listed))] == [path for path, _ in theirs.imgs]
        assert listed.labels.tolist() == theirs.targets


def test_the_hash_sees_names_and_sizes(write, files):
    hashes = {
        list_images(write(content, f"set{i}"), "dataset.folder").hash
        for i, content in enumerate(
            (
                files,
                {name.replace("19", "20"): data for name, data in files.items()},
                files | {"dog/19.png": files["dog/19.png"] + b" "},
                {name: data for name, data in files.items() if name != "dog/19.png"},
            )
        )
    }
    assert len(hashes) == 4


def test_one_class_alone_is_a_class(write):
    for i, name in enumerate(("cat/0.png", "train/cat/0.png")):
        assert list_images(write({name: b"0"}, f"set{i}"), "k").class_names == ("cat",)


def test_images_deeper_in_a_class_belong_to_it(write):
    place = write({"cat/old/1.png": b"1", "cat/0.png": b"0", "dog/young/2.png": b"2"})
    listed = list_images(place, "k")
    assert listed.names == ["cat/0.png", "cat/old/1.png", "dog/young/2.png"]
    assert [listed.read(row) for row in range(3)] == [b"0", b"1", b"2"]


def test_hidden_and_foreign_files_are_left_out(write, files):
    hidden = ("__MACOSX/cat/._00.png", ".thumbs/cat/0.png", "cat/.0.png", "notes.txt", "cat/a.txt")
    assert list_images(write(files | dict.fromkeys(hidden, b"")), "k").names == list(files)


def test_images_of_kinds_that_are_not_read_are_told(write, files, capsys):
    place = write(files | {"cat/90.GIF": b"", "dog/91.heic": b"", "dog/.92.gif": b""})
    assert list_images(place, "k").names == list(files)
    told = capsys.readouterr().err
    assert f"{place}: 2 image files are left out, such as" in told and ".webp are read" in told


def test_names_that_lead_out_of_a_zip_are_not_followed(tmp_path, files):
    (tmp_path / "secret.png").write_bytes(b"secret")
    with zipfile.ZipFile(tmp_path / "images.zip", "w") as archive:
        for name in (*files, "../secret.png", "/cat/a.png", "cat/../../secret.png", "cat//b.png"):
            archive.writestr(name, files.get(name, b""))
    assert list_images(tmp_path / "images.zip", "k").names == list(files)


def test_an_empty_class_is_named(write, files):
    place = write(files | {"fish/": b""})
    with pytest.raises(AdagenError, match=rf"{place}/fish has no images.*fill it or take"):
        list_images(place, "dataset.folder")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ({"cat/": b""}, "no images were found"),
        ({"cat/notes.txt": b""}, "no images were found"),
        ({"cat/0.gif": b""}, r"no images were found \(only such as 'cat/0\.gif', not read\)"),
        ({"0.png": b"", "1.png": b""}, "in no folder of a class"),
    ],
)
def test_a_place_without_classes_says_what_is_expected(write, content, told):
    with pytest.raises(AdagenError, match=rf"'dataset\.folder'.*{told}.*<folder>/<class>/<file>"):
        list_images(write(content), "dataset.folder")


def test_a_missing_place_says_what_is_expected(tmp_path):
    with pytest.raises(AdagenError, match=r"heldout_folder'.*not exist.*docs/assets\.md") as raised:
        list_images(tmp_path / "nowhere", "dataset.heldout_folder")
    assert str(tmp_path / "nowhere") in str(raised.value)


def test_a_file_that_is_no_whole_zip_is_refused(tmp_path, files):
    path = tmp_path / "images.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(AdagenError, match=r"images\.zip cannot be read as a zip.*cut short"):
        list_images(path, "k")


def test_an_image_that_is_gone_is_named(write, files):
    listed = list_images(write(files), "k")
    listed.place.rename(listed.place.with_name("elsewhere"))
    with pytest.raises(AdagenError, match=r"dog/10\.png cannot be read"):
        listed.read(10)
