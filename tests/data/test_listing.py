"""Which files are listed: links, names of any bytes, and what can't be read."""

import os
import shutil
import socket
import tempfile
import unicodedata
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adagen.data import listing
from adagen.data.folder import list_images, list_unlabelled, require_apart
from adagen.data.listing import list_files
from adagen.runtime.errors import AdagenError

E_COMPOSED, E_DECOMPOSED = "caf\u00e9", "cafe\u0301"


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(os.fsencode(path.name))


@pytest.fixture
def place(tmp_path) -> Path:
    """A folder with two images, and others outside it."""
    touch(*(tmp_path / name for name in ("in/cat/0.png", "in/dog/0.png", "out/1.png", "out/2.png")))
    return tmp_path / "in"


def sizes(place: Path) -> list[str]:
    return sorted(list_files(place).sizes)


def test_links_out_of_the_folder_are_followed_and_told(place, capsys):
    (place / "eel").symlink_to("../out")
    (place / "cat" / "9.png").symlink_to(place.parent / "out2.png")
    touch(place.parent / "out2.png")
    listed = list_images(place, "k")
    assert listed.names == ["cat/0.png", "cat/9.png", "dog/0.png", "eel/1.png", "eel/2.png"]
    assert [listed.read(row) for row in (1, 3)] == [b"out2.png", b"1.png"]
    assert f"{place}: 2 links lead out of the folder, as 'eel' does" in capsys.readouterr().err


def test_the_folder_itself_may_be_a_link(place):
    (place.parent / "link").symlink_to("in")
    assert sizes(place.parent / "link") == ["cat/0.png", "dog/0.png"]


@pytest.mark.parametrize("target", [".", "..", "../..", "../cat", "again"])
def test_a_link_back_is_refused(place, target):
    (place / "cat" / "again").symlink_to(target)
    with pytest.raises(AdagenError, match=r"cat/again (is a link (back )?to|cannot be read)"):
        list_files(place)


@pytest.mark.parametrize(
    ("link", "target"),
    [
        ("bird", "cat"),  # a folder twice
        ("cat/1.png", "0.png"),  # a file twice
        ("dog/1.png", "../cat/0.png"),
    ],
)
def test_what_is_listed_is_not_listed_again_by_a_link(place, link, target):
    (place / link).symlink_to(target)
    with pytest.raises(AdagenError, match=rf"{link} and .*cat.* are the same by a link"):
        list_files(place)


@pytest.mark.parametrize("order", [("a.png", "zoo"), ("z.png", "ant")])
def test_nor_if_two_links_lead_to_it(place, order):
    file, folder = order
    (place / "cat" / file).symlink_to("../../out/1.png")
    (place / folder).symlink_to("../out")
    with pytest.raises(AdagenError, match="are the same by a link"):
        list_files(place)


@pytest.mark.parametrize("name", ["gone.png", "gone"])
def test_a_link_to_nowhere_is_named(place, name):
    """It may have been a class, on a disk that is not there."""
    (place / "cat" / name).symlink_to(place.parent / "missing")
    with pytest.raises(AdagenError, match=rf"cat/{name} is a link to .*missing, .*No such file"):
        list_files(place)


def test_hidden_links_are_left_alone(place):
    (place / ".cache").symlink_to(place.parent / "missing")
    assert sizes(place) == ["cat/0.png", "dog/0.png"]


def test_what_cannot_be_read_is_named(place, monkeypatch):
    """As root, a test can't take a permission away."""
    real = os.scandir

    def refusing(path):
        if str(path).endswith("dog"):
            raise PermissionError(13, "Permission denied", path)
        return real(path)

    monkeypatch.setattr(listing.os, "scandir", refusing)
    with pytest.raises(AdagenError, match=r"in/dog cannot be read \(Permission denied\)"):
        list_files(place)


def test_a_pipe_and_a_socket_are_no_images(place):
    os.mkfifo(place / "cat" / "1.png")
    with pytest.raises(AdagenError, match=r"cat/1\.png is named as an image, but is no regular"):
        list_files(place)
    with pytest.raises(AdagenError, match=r"1\.png is a pipe, but a file is expected"):
        list_files(place / "cat" / "1.png")
    (place / "cat" / "1.png").unlink()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(place / "cat" / "2.png"))
        with pytest.raises(AdagenError, match=r"cat/2\.png is named as an image"):
            list_files(place)


def test_names_may_have_any_bytes(place):
    with open(os.fsencode(place) + b"/cat/caf\xe9.png", "wb") as stream:
        stream.write(b"bytes")
    listed = list_images(place, "k")
    assert [listed.read(row) for row in range(3)] == [b"0.png", b"bytes", b"0.png"]
    assert len(listed.hash) == 64 and listed.location(1).encode("utf-8", "surrogateescape")


def test_a_zip_has_the_names_of_its_folder_whatever_they_are(tmp_path, write):
    """Bytes that are no UTF-8, and UTF-8 that the zip does not call so."""
    raw = [b"cat/caf\xe9.png", "cat/\u5b57.png".encode()]
    for name in raw:
        path = os.path.join(os.fsencode(tmp_path), b"set", name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        Path(os.fsdecode(path)).write_bytes(b"x")
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        for name in raw:
            placeholder = "x" * len(name)
            archive.writestr(placeholder, b"x")
    data = (tmp_path / "set.zip").read_bytes()
    for name in raw:
        data = data.replace(b"x" * len(name), name)
    (tmp_path / "set.zip").write_bytes(data)
    folder, archived = (list_images(tmp_path / name, "k") for name in ("set", "set.zip"))
    assert folder.names == archived.names and folder.hash == archived.hash
    assert archived.read(0) == b"x"


def test_unicode_forms_are_equal(write):
    """macOS writes letters with accents in two parts."""
    listed = [
        list_images(write({f"{name}/{name}.png": b"1", "dog/0.png": b"2"}, f"set{i}"), "k")
        for i, name in enumerate((E_COMPOSED, E_DECOMPOSED))
    ]
    assert listed[0].names == listed[1].names == [f"{E_COMPOSED}/{E_COMPOSED}.png", "dog/0.png"]
    assert listed[0].hash == listed[1].hash
    assert listed[0].class_names == listed[1].class_names
    assert [files.read(0) for files in listed] == [b"1", b"1"]
    assert E_DECOMPOSED in listed[1].location(0)


@pytest.mark.parametrize("name", ["cat/{}.png", "{}/0.png"])
def test_two_forms_of_one_name_are_refused(place, name):
    touch(*(place / name.format(form) for form in (E_COMPOSED, E_DECOMPOSED)))
    with pytest.raises(AdagenError, match="twice, in two Unicode forms"):
        list_files(place)


def test_a_link_in_a_zip_is_refused(tmp_path):
    link = zipfile.ZipInfo("class9")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        archive.writestr("cat/0.png", b"")
        archive.writestr(link, "../elsewhere")
    with pytest.raises(AdagenError, match=r"set\.zip/class9 is a link"):
        list_files(tmp_path / "set.zip")


def test_without_classes_the_order_is_that_of_the_paths(place):
    touch(place / "cat-2.png", place / "cat" / "a" / "0.png", place / "b.png")
    paths = sorted(place.rglob("*.png"))
    assert list_unlabelled(place).names == [path.relative_to(place).as_posix() for path in paths]


# Two parts of a data set


@pytest.mark.parametrize("spelling", ["in", "in/", "./in", "in/../in", "in/cat/..", "link"])
def test_a_part_is_not_the_other_by_another_spelling(place, spelling, monkeypatch):
    monkeypatch.chdir(place.parent)
    (place.parent / "link").symlink_to("in")
    train, heldout = list_images(place, "k"), list_images(Path(spelling), "k")
    with pytest.raises(AdagenError, match=r"'dataset\.heldout_folder' is .*, which is "):
        require_apart(train, heldout)


def test_a_part_shares_no_file_with_the_other(place):
    heldout = place.parent / "heldout"
    touch(heldout / "cat" / "7.png")
    train = list_images(place, "k")
    require_apart(train, list_images(heldout, "k"))
    for name, target in (("dog", "../in/dog"), ("cat/8.png", "../../in/dog/0.png")):
        (heldout / name).symlink_to(target)
        with pytest.raises(AdagenError, match=rf"shares .*in/dog.* with {place}"):
            require_apart(train, list_images(heldout, "k"))
        with pytest.raises(AdagenError, match="shares"):
            require_apart(list_images(heldout, "k"), train)
        (heldout / name).unlink()
    with pytest.raises(AdagenError, match="shares"):
        require_apart(train, list_images(place / "cat" / "..", "k").subset(train.labels[:0]))


def test_a_copy_is_no_other_part(place, tmp_path):
    shutil.copytree(place, tmp_path / "copy")
    with pytest.raises(AdagenError, match="the same names and content"):
        require_apart(list_images(place, "k"), list_images(tmp_path / "copy", "k"))
    # Bitmaps are all as large, and may be numbered alike in both parts.
    (tmp_path / "copy" / "dog" / "0.png").write_bytes(b"1.png")
    require_apart(list_images(place, "k"), list_images(tmp_path / "copy", "k"))


# Any tree

NAMES = st.sampled_from(["a", "b", "c.png", "d.png", ".h", "e.txt", E_COMPOSED, E_DECOMPOSED])
TREES = st.lists(
    st.tuples(st.lists(NAMES, min_size=1, max_size=4), st.none() | st.lists(NAMES | st.just(".."))),
    max_size=12,
)


@settings(max_examples=50, deadline=None)
@given(TREES)
def test_every_image_is_listed_once_or_the_tree_is_refused(tree):
    """Against a walk of the tree that follows no link and one that follows every link."""
    with tempfile.TemporaryDirectory() as folder:
        top = Path(folder) / "top"
        top.mkdir()
        (Path(folder) / "a").mkdir()
        touch(Path(folder) / "a" / "c.png")
        for parts, target in tree:
            path = top.joinpath(*parts)
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                if target is None:
                    path.touch()
                else:
                    path.symlink_to(Path(*target))
            except OSError:  # a file stands there
                continue
        try:
            found = list_files(top)
        except AdagenError as error:
            assert str(top) in str(error)
            assert any(path.is_symlink() for path in top.rglob("*")) or two_forms(top)
            return
        reached = {unicodedata.normalize("NFC", name): path for name, path in images(top, top)}
        assert sorted(found.sizes) == sorted(reached)
        assert len({path.resolve() for path in reached.values()}) == len(reached)
        for name in found.sizes:
            assert (top / found.written.get(name, name)).is_file()


def images(top: Path, folder: Path) -> list[tuple[str, Path]]:
    """Visible images below a folder, by every path; links are followed."""
    found = []
    for path in folder.iterdir():
        if path.name.startswith("."):
            continue
        if path.is_dir():
            found += images(top, path)
        elif path.suffix == ".png":
            found.append((path.relative_to(top).as_posix(), path))
    return found


def two_forms(top: Path) -> bool:
    names = [path.as_posix() for path in top.rglob("*")]
    return len({unicodedata.normalize("NFC", name) for name in names}) < len(names)
