"""An output is never an input or another output, and what cannot be written is said at once."""

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from adagen.runtime import outputs as checks
from adagen.runtime.errors import AdagenError
from adagen.runtime.outputs import Given, Kind, Output, check_outputs, is_same, lies_in

NAMES = st.sampled_from(["a", "A", "b", "f.csv", "F.csv", "link", "hard", "loop", "gone"])
STEPS = st.sampled_from([".", "..", "d", "D", "to_d", "e"])
PATHS = st.builds(
    lambda absolute, steps, name: (absolute, "/".join([*steps, name])),
    st.booleans(),
    st.lists(STEPS, max_size=3),
    NAMES,
)


@pytest.fixture(scope="module")
def tree():
    """Folders, files, and links to them: soft, hard, dangling, and a loop."""
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        patch.chdir(name)
        root = Path(name)
        for folder in (root, root / "d", root / "D", root / "d" / "e"):
            folder.mkdir(exist_ok=True)
            for file in ("a", "b", "f.csv"):
                (folder / file).write_text(file)
            (folder / "link").symlink_to("f.csv")
            (folder / "loop").symlink_to("loop")
            os.link(folder / "b", folder / "hard")
        (root / "to_d").symlink_to("d")
        (root / "d" / "to_d").symlink_to("../D")
        (root / "D" / "gone").symlink_to("../gone")
        yield root


def truth(first: Path, second: Path) -> bool:
    """Whether two paths are one, by the system itself: what is missing is made for the question."""
    made = []
    try:
        for path in (first, second):
            if not path.exists():
                try:
                    path.touch()
                except OSError:  # a loop, or a folder that is missing: the names decide
                    return os.path.realpath(first) == os.path.realpath(second)
                made.append(path)
        return os.path.samefile(first, second)
    finally:
        for path in made:
            Path(os.path.realpath(path)).unlink(missing_ok=True)


@given(PATHS, PATHS)
@example((False, "d/to_d/f.csv"), (False, "D/missing/../f.csv"))
@settings(max_examples=60, deadline=None)
def test_outputs_are_refused_if_and_only_if_they_are_one(tree, one, other):
    first, second = (tree / text if absolute else Path(text) for absolute, text in (one, other))
    expected = truth(first, second)
    assert is_same(first, second) is is_same(second, first) is expected
    # Loops, folders that are missing and the like are refused for what they are.
    for outputs, inputs in (
        ([Output("--out", first), Output("--log", second)], []),
        ([Output("--out", first)], [Given("--generator", second)]),
    ):
        try:
            check_outputs(outputs, inputs)
        except AdagenError as refusal:
            assert expected == (" are one: " in str(refusal) or "which is read" in str(refusal))
        else:
            assert not expected


def test_names_that_the_file_system_takes_for_one(tmp_path, monkeypatch):
    """Where no file is there yet, the file system is asked: here one that ignores case."""
    first, second = tmp_path / "new" / "S.csv", tmp_path / "NEW" / "s.csv"
    assert not is_same(first, second)
    asked = []
    exists = Path.exists

    def ignoring_case(path: Path) -> bool:
        if exists(path):
            return True
        siblings = [str(p).casefold() for p in tmp_path.rglob("*")]
        asked.append(path)
        return str(path).casefold() in siblings

    monkeypatch.setattr(Path, "exists", ignoring_case)
    assert is_same(first, second) and asked
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize(
    ("outputs", "inputs", "refusal"),
    [
        (["r:run"], ["run/policy"], "--0 run would be replaced as a whole, but --in run/policy"),
        (["r:run"], ["run"], "--0 run is --in run, which is read"),
        (["r:run", "f:run/log"], [], "lie in one another"),
        (["r:state/run", "s:state"], [], "lie in one another"),
        (["r:run", "s:run/state"], [], "lie in one another"),
        (["f:new", "f:new/log"], [], "lie in one another"),
        (["f:state/reward.ckpt", "s:state"], [], "lie in one another"),
        (["s:state", "f:state/lock"], [], "lie in one another"),
        (["f:images/a.png"], ["images"], "would become a part of --in images"),
        (["f:images/about.json"], ["images"], "would become a part of --in images"),
        (["s:images/state"], ["images"], "would become a part of --in images"),
        (["f:images"], [], "images is a folder, but a file"),
        (["r:file"], [], "file is a file, but a folder"),
        (["s:file"], [], "file is a file, but a folder"),
        (["i:file"], [], "file is a file, but a folder"),
        (["f:file/out"], [], "file is no folder"),
        (["s:file/out/deep"], [], "file is no folder"),
        (["f:pipe"], [], "pipe is no file"),
        ([f"f:{'x' * 245}.csv"], [], "File name too long"),
        ([f"f:{'x' * 300}/a.csv"], [], "File name too long"),
        (["f:/proc/adagen/out"], [], "cannot be written"),
        (["s:dangling"], [], "cannot be written"),
        (["f:dangling/out"], [], "dangling is no folder"),
        (["f:~/out"], [], "begins with ~"),
    ],
)
def test_outputs_that_are_refused(tmp_path, monkeypatch, outputs, inputs, refusal):
    monkeypatch.chdir(tmp_path)
    for folder in ("run", "images"):
        Path(folder).mkdir()
    for file in ("file", "run/policy"):
        Path(file).write_text("mine")
    os.mkfifo("pipe")
    Path("loop").symlink_to("loop")
    Path("dangling").symlink_to("gone")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(AdagenError) as refused:
        check_outputs(given_outputs(outputs), [Given("--in", Path(path)) for path in inputs])
    assert refusal in str(refused.value)
    assert sorted(tmp_path.rglob("*")) == before and Path("run/policy").read_text() == "mine"


def given_outputs(texts: list[str]) -> list[Output]:
    kinds = {"f": Kind.FILE, "r": Kind.REPLACED, "s": Kind.STATE, "i": Kind.FILLED}
    return [
        Output(f"--{number}", Path(text[2:]), kinds[text[0]]) for number, text in enumerate(texts)
    ]


@pytest.mark.parametrize(
    ("outputs", "inputs"),
    [
        (["f:new/deep/out.csv", "f:new/deep/out.tex", "s:new/state"], ["file"]),
        (["f:images/measured.json"], ["images"]),
        (["i:."], ["images", "file"]),
        (["s:.", "f:out"], ["file"]),
        (["f:dangling"], ["file"]),
        (["f:file"], ["images"]),
        (["r:images"], ["file"]),
    ],
)
def test_outputs_that_are_fine(tmp_path, monkeypatch, outputs, inputs):
    monkeypatch.chdir(tmp_path)
    Path("images").mkdir()
    Path("file").touch()
    Path("dangling").symlink_to("gone")
    before = sorted(tmp_path.rglob("*"))
    check_outputs(given_outputs(outputs), [Given("--in", Path(path)) for path in inputs])
    assert sorted(tmp_path.rglob("*")) == before


def test_a_folder_that_cannot_be_written(tmp_path, monkeypatch):
    """Permissions do not bind the administrator, who may run the tests."""

    def refuse(**_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(checks, "TemporaryFile", refuse)
    with pytest.raises(AdagenError, match=r"--out .*out cannot be written \(Permission denied\)"):
        check_outputs([Output("--out", tmp_path / "out")], [])


def test_a_path_lies_in_a_folder_by_whatever_name(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("folder")
    assert lies_in(tmp_path / "link" / "a" / "b", tmp_path / "folder")
    assert lies_in(tmp_path / "gone" / "a", tmp_path / "folder" / ".." / "gone")
    assert not lies_in(tmp_path / "folder", tmp_path / "folder")
    assert not lies_in(tmp_path / "folder2", tmp_path / "folder")
