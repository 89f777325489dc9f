# SPDX-License-Identifier: Apache-2.0
"""The files of a torch archive, checked before torch sees them and packed anew for it.

torch and Python read zip files with different code; what one sees the other may not. So torch is never given the uploaded
archive but one made here, uncompressed, of exactly the files that were checked: what was judged is what is read. Nothing
larger than the declared bound is unpacked.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Mapping
from typing import Final

from runners.backends.failures import invalid

_ENTRIES: Final = 100_000
_RATIO: Final = 20  # times the archive: weights are stored, only code is compressed
_SPARE: Final = 16 << 20  # bytes beyond that, for small archives of much code
_ROOT: Final = "archive"


def read_archive(data: bytes) -> dict[str, bytes]:
    """The archive's files by path, without the folder that holds them all.

    Raises:
        ModelError: ``MODEL_003`` if it is no zip file, unpacks to far more than it is, or names files twice or outside.
    """
    if data[:2] == b"\x80\x02" or not zipfile.is_zipfile(io.BytesIO(data)):
        raise invalid(
            "The file is no torch archive; a plain pickle of torch.save is never read. Save with torch.jit.save."
        )
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return _unpack(archive, _RATIO * len(data) + _SPARE)
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, UnicodeDecodeError) as error:
        raise invalid(f"The torch archive is damaged: {error}") from None


def _unpack(archive: zipfile.ZipFile, limit: int) -> dict[str, bytes]:
    entries = [entry for entry in archive.infolist() if not entry.is_dir()]
    size = sum(entry.file_size for entry in entries)
    if len(entries) > _ENTRIES or size > limit:
        raise invalid(
            f"The torch archive unpacks to {len(entries)} files and {size} bytes; the limit is {limit} bytes."
        )
    roots = {entry.filename.partition("/")[0] for entry in entries}
    if len(roots) != 1:
        raise invalid(f"The torch archive holds {len(roots)} folders; expected one.")
    files: dict[str, bytes] = {}
    for entry in entries:
        path = entry.filename.partition("/")[2]
        if not path or path in files or ".." in path.split("/") or "\\" in path or "\0" in path:
            raise invalid(f"The torch archive names {entry.filename[:120]!r} twice or outside its folder.")
        with archive.open(entry) as file:
            files[path] = file.read(entry.file_size + 1)  # its declared size, which was counted; zipfile checks the CRC
    return files


def write_archive(files: Mapping[str, bytes]) -> io.BytesIO:
    """An uncompressed archive of these files."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for path, data in files.items():
            archive.writestr(zipfile.ZipInfo(f"{_ROOT}/{path}"), data)
    buffer.seek(0)
    return buffer
