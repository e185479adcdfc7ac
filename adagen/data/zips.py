"""Reading single files of a zip from any thread and any process.

An open `zipfile.ZipFile` has one file position, which forked processes would share, and keeps a
kilobyte for each entry, which is a gigabyte for ImageNet. Here only the offsets of entries are
kept, and no file stays open.
"""

import os
import stat
import struct
import zipfile
import zlib
from pathlib import Path
from typing import NamedTuple

from adagen.data.faults import Faults, refuse
from adagen.runtime.errors import AdagenError
from adagen.runtime.limits import ENTRIES, IMAGE_BYTES, require_regular


class Member(NamedTuple):
    """A file inside a zip.

    Attributes:
        size: bytes of the file.
        offset: offset of its header in the zip.
        packed: bytes of the compressed file.
        method: `zipfile.ZIP_STORED` or `zipfile.ZIP_DEFLATED`.
        checksum: CRC-32 of the file.
    """

    size: int
    offset: int
    packed: int
    method: int
    checksum: int


def list_zip(path: Path, faults: Faults | None = None) -> tuple[dict[str, Member], list[str]]:
    """List the files of a zip by name, and the names of its folders.

    Args:
        path: the zip.
        faults: where files are written down that can't be used, as they stand twice (the first
            is listed), are links, are encrypted or use a rare compression; None to refuse them.

    Raises:
        FileNotFoundError: there is none.
        AdagenError: it is not a complete zip, or has too many files; or a file is refused.
    """
    require_regular(path)
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except FileNotFoundError:
        raise
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise AdagenError(
            f"{path} cannot be read as a zip ({error}): it is cut short or damaged. Fetch or make "
            "it again."
        ) from None
    if len(entries) > ENTRIES:
        raise AdagenError(
            f"{path} has {len(entries):,} files, but {ENTRIES:,} are the most that are read: check "
            "that it is the right one."
        )
    files: dict[str, Member] = {}
    folders, whole = [], path.stat().st_size
    for entry in entries:
        name = _name(entry)
        if fault := _fault(entry, f"{path}/{name}"):
            refuse(name, fault, faults=faults)
            continue
        if not 0 <= entry.header_offset <= whole - entry.compress_size:
            raise AdagenError(
                f"{path}/{name} lies beyond the end of the zip, which is cut short or damaged: "
                "fetch or make it again."
            )
        if entry.is_dir():
            folders.append(name.rstrip("/"))
            continue
        if name in files:
            fault = (
                f"{path}/{name} stands twice in the zip, and programs take one or the other: make "
                "the zip again."
            )
            refuse(name, fault, faults=faults)
            continue
        files[name] = Member(
            entry.file_size,
            entry.header_offset,
            entry.compress_size,
            entry.compress_type,
            entry.CRC,
        )
    return files, folders


def _fault(entry: zipfile.ZipInfo, where: str) -> str:
    """Why the content of an entry is not simply that of a file; "" if it is."""
    encrypted = entry.flag_bits & 1
    if encrypted or entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return (
            f"{where} is encrypted, or packed in a rare way: make the zip again without a "
            "password, stored or deflated."
        )
    if stat.S_ISLNK(entry.external_attr >> 16):
        return (
            f"{where} is a link, which leads nowhere from inside a zip: make the zip again with "
            "the files that links lead to (`zip -r` without `-y`)."
        )
    return ""


def _name(entry: zipfile.ZipInfo) -> str:
    """The name of an entry, as it would be on the disk.

    Programs on Linux store the bytes of a name and often don't say that they are UTF-8; the
    library then takes them for those of MS-DOS.
    """
    says_unicode = entry.flag_bits & 0x800 or entry.filename != entry.orig_filename
    return entry.filename if says_unicode else os.fsdecode(entry.filename.encode("cp437"))


def read_member(path: Path, member: Member, *, most: int = IMAGE_BYTES) -> bytes:
    """Read a file of the zip at `path`, of `most` bytes at most.

    Raises:
        OSError: the zip is damaged there, or the file is larger than it may be or says it is.
    """
    if max(member.size, member.packed) > most:
        raise OSError(f"it has {max(member.size, member.packed):,} bytes, more than {most:,}")
    with path.open("rb") as stream:
        # A local header has 30 bytes, which end with the lengths of the name and the extra field
        # that follow.
        stream.seek(member.offset)
        header = stream.read(30)
        if len(header) < 30 or not header.startswith(b"PK\x03\x04"):
            raise OSError("the zip is damaged here")
        stream.seek(sum(struct.unpack("<HH", header[26:])), 1)
        data = stream.read(member.packed)
    try:
        content = data if member.method == zipfile.ZIP_STORED else _inflate(data, member.size)
    except zlib.error as error:
        raise OSError(str(error)) from None
    if len(content) != member.size:
        raise OSError(f"it does not have the {member.size:,} bytes that the zip says")
    if zlib.crc32(content) != member.checksum:
        raise OSError("its checksum is wrong")
    return content


def _inflate(data: bytes, size: int) -> bytes:
    """Decompress, but never more than one byte beyond what is expected.

    Raises:
        zlib.error: the data are damaged or cut short.
    """
    stream = zlib.decompressobj(-15)
    content = stream.decompress(data, size + 1)
    if len(content) <= size and not stream.eof:
        raise zlib.error("decompressing stops before the end")
    return content
