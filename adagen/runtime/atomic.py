"""Atomic writing of files and folders: each is whole or absent at every moment."""

import errno
import fcntl
import glob
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from adagen.runtime.errors import AdagenError


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`, and rename it to `path` if the block succeeds.

    The temporary name keeps the suffix, because writers such as `numpy.savez` depend on it.

    Raises:
        AdagenError: the disk is full, or the folder can't be written.
    """
    with _explain_refusal(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(path)
        prefix = f".{path.stem}-"
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=prefix, suffix=path.suffix)
        temporary = Path(name)
        try:
            with suppress(OSError):  # where nothing can be locked, leftovers stay
                _lock(handle)
            yield temporary
            # mkstemp makes private files, but results get the permissions of any file of the user.
            mask = os.umask(0)
            os.umask(mask)
            temporary.chmod(0o666 & ~mask)
            _flush(temporary)
            temporary.replace(path)
        finally:
            os.close(handle)
            temporary.unlink(missing_ok=True)


@contextmanager
def temporary_folder(path: Path) -> Iterator[Path]:
    """Yield a new folder beside `path`; it goes afterwards, as do those of processes that died."""
    path.parent.mkdir(parents=True, exist_ok=True)
    for leftover in path.parent.glob(f".{glob.escape(path.name)}-????????"):
        with suppress(OSError), _locked_folder(leftover):
            shutil.rmtree(leftover)
    with (
        tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}-") as name,
        ExitStack() as held,
    ):
        with suppress(OSError):  # where nothing can be locked, leftovers stay
            held.enter_context(_locked_folder(Path(name)))
        yield Path(name)


@contextmanager
def _locked_folder(folder: Path) -> Iterator[None]:
    """Lock a folder within the block; errors are those of `_lock`."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        _lock(handle)
        yield
    finally:
        os.close(handle)


def _lock(handle: int) -> None:
    """Lock a temporary file or folder until it is closed or its process ends.

    Raises:
        OSError: another process holds it, or the file system has no locks.
    """
    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _remove_leftovers(path: Path) -> None:
    """Remove temporary files of processes that were killed while they wrote `path`."""
    pattern = f".{glob.escape(path.stem)}-????????{glob.escape(path.suffix)}"
    for leftover in path.parent.glob(pattern):
        with suppress(OSError), leftover.open("rb+") as stream:
            _lock(stream.fileno())
            leftover.unlink()


def _flush(path: Path) -> None:
    """Write the content to the disk before the name, or a power cut could leave an empty file."""
    with path.open("rb") as stream:
        os.fsync(stream.fileno())


REFUSED = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM)
"""Errors of a full disk, or of a file that may not be written."""


@contextmanager
def _explain_refusal(path: Path) -> Iterator[None]:
    """Turn the errors of writing a file into an `AdagenError`."""
    try:
        yield
    except OSError as error:
        if error.errno not in REFUSED:
            raise
        raise AdagenError(
            f"{path} cannot be written ({error.strerror}). Make room on the disk or give "
            "permission, and repeat the command; what was there before is untouched."
        ) from None


def move_folder(folder: Path, out: Path) -> None:
    """Move a folder to `out`, replacing what is there; `out` is whole or absent at every moment.

    After a kill, either the folder is unchanged or all of it is at `out`.
    """
    beside = out.with_name(f".{out.name}.moving")
    shutil.rmtree(beside, ignore_errors=True)  # left by a move that was killed
    try:
        folder.rename(out)
    except OSError as error:  # `out` exists, or lies in another file system
        new = folder
        beside.mkdir()
        if error.errno == errno.EXDEV:
            new = shutil.copytree(folder, beside / "new")
        if os.path.lexists(out):
            out.rename(beside / "old")
        new.rename(out)
        shutil.rmtree(beside)
        shutil.rmtree(folder, ignore_errors=True)  # after a copy, the original
