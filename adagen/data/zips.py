"""Files inside a zip, read one by one from any thread and any process.

An open `zipfile.ZipFile` has one position in its file, which forked processes would share, and
keeps a kilobyte for each entry, a gigabyte for ImageNet. Where the entries begin is enough to read
them, and leaves nothing open.
"""

import struct
import zipfile
import zlib
from pathlib import Path
from typing import NamedTuple

from adagen.runtime.errors import AdagenError


class Member(NamedTuple):
    """A file inside a zip.

    Attributes:
        size: of the file, in bytes.
        offset: where its header begins in the zip.
        packed: bytes it takes in the zip.
        method: `zipfile.ZIP_STORED` or `zipfile.ZIP_DEFLATED`.
        checksum: CRC-32 of the file.
    """

    size: int
    offset: int
    packed: int
    method: int
    checksum: int


def list_zip(path: Path) -> tuple[dict[str, Member], list[str]]:
    """The files of a zip by name, and the names of the folders it lists.

    Raises:
        AdagenError: it is no whole zip, or a file in it is encrypted or packed in a rare way.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, OSError) as error:
        raise AdagenError(
            f"{path} cannot be read as a zip ({error}): it is cut short or damaged. Fetch or make "
            "it again."
        ) from None
    files = {}
    for entry in entries:
        encrypted = entry.flag_bits & 1
        if encrypted or entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise AdagenError(
                f"{path}/{entry.filename} is encrypted, or packed in a rare way: make the zip "
                "again without a password, stored or deflated."
            )
        if not entry.is_dir():
            files[entry.filename] = Member(
                entry.file_size,
                entry.header_offset,
                entry.compress_size,
                entry.compress_type,
                entry.CRC,
            )
    return files, [entry.filename.rstrip("/") for entry in entries if entry.is_dir()]


def read_member(path: Path, member: Member) -> bytes:
    """The bytes of a file of the zip at `path`.

    Raises:
        OSError: the zip is damaged there.
    """
    with path.open("rb") as stream:
        # A local header is 30 bytes, then the name and extra fields, whose lengths end the 30.
        stream.seek(member.offset)
        header = stream.read(30)
        if len(header) < 30 or not header.startswith(b"PK\x03\x04"):
            raise OSError("the zip is damaged here")
        stream.seek(sum(struct.unpack("<HH", header[26:])), 1)
        data = stream.read(member.packed)
    try:
        whole = data if member.method == zipfile.ZIP_STORED else zlib.decompress(data, -15)
    except zlib.error as error:
        raise OSError(str(error)) from None
    if zlib.crc32(whole) != member.checksum:
        raise OSError("its checksum is wrong")
    return whole
