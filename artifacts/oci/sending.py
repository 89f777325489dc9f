# SPDX-License-Identifier: Apache-2.0
"""The bytes of one blob on their way to a registry, in chunks that go on after a cut.

Follows the distribution specification v1.1, "Pushing a blob in chunks" and "Resumable push". Memory does not grow with the
blob. After a cut the registry is asked how much it has, and the rest is sent; where it has forgotten the upload, the blob
begins anew, within patience. An answer may be lost while the blob was taken: that is looked up before anything is sent again.
Only the registry's own check of the digest ends an upload.

docker-registry 2.8 forgets an upload that was cut within a chunk, and keeps one that was cut between two. Registries that
know no chunks get the blob whole.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from typing import BinaryIO, Final, TypeAlias
from urllib.parse import quote

from artifacts.oci.answers import Answer, error_code, refusal
from artifacts.oci.blobs import PIECE_BYTES
from artifacts.oci.connection import Ask, Connection
from artifacts.oci.descriptor import Descriptor
from artifacts.oci.patience import Tries
from core.errors import ErrorCode, SignatureError, Unavailable

CHUNK_BYTES: Final = 16 * 1024 * 1024  # of one request
WHOLE_BYTES: Final = 4 * 1024 * 1024  # blobs up to this are sent in one request
_PROGRESS_BYTES: Final = 1024 * 1024  # from which patience starts anew
_RANGE: Final = re.compile(r"(?:bytes=)?0-(\d{1,16})")
_NO_CHUNKS: Final = frozenset({400, 405, 411, 415, 501})
_TYPE: Final = {"content-type": "application/octet-stream"}

Watch: TypeAlias = Callable[[int], None]  # is told how many bytes of the blob are there


class _Lost(Exception):
    """The registry does not know the upload any more, or has other bytes than were sent."""


class Sending:
    """One blob being sent; :meth:`run` does it.

    Args:
        connection: To the registry.
        repository: Of the registry.
        descriptor: Of the blob.
        file: Its bytes, already checked; it can be sought in.
        watch: Is told how many bytes are there.
    """

    def __init__(
        self, connection: Connection, repository: str, descriptor: Descriptor, file: BinaryIO, watch: Watch
    ) -> None:
        self.sent = 0  # bytes, those that had to be sent again included
        self._connection = connection
        self._repository = repository
        self._descriptor = descriptor
        self._file = file
        self._watch = watch
        self._tries = Tries(connection.patience)
        self._location: str | None = None  # of the upload; None: none is open
        self._there = 0  # bytes the registry has
        self._kept = 0  # bytes it still had after the last cut
        self._chunk = CHUNK_BYTES
        self._whole = descriptor.size <= WHOLE_BYTES
        self._refused = 0  # times the registry found other bytes

    async def run(self) -> None:
        """Sends until the registry has the blob. Raises as :func:`artifacts.oci.uploads.upload`."""
        doubtful = False
        while True:
            try:
                if not (doubtful and await self._arrived()):
                    await self._go_on()
                break
            except _Lost as lost:
                self._forget()
                failure = self._loses(str(lost))
            except Unavailable as error:
                failure = error
            doubtful = True
            await self._tries.after(failure)
        self._watch(self._descriptor.size)

    async def _go_on(self) -> None:
        if self._location is None:
            answer = await self._ask_once("POST", f"/v2/{self._repository}/blobs/uploads/", 202)
            self._moved(answer)
            least = answer.headers.get("oci-chunk-min-length", "")
            self._chunk = max(CHUNK_BYTES, int(least) if least.isdecimal() and len(least) < 12 else 0)
        while not self._whole and self._there < self._descriptor.size:
            await self._send_chunk()
        await self._close()

    async def _send_chunk(self) -> None:
        start, end = self._there, min(self._there + self._chunk, self._descriptor.size)
        ask = self._sends("PATCH", "", start, end, {"content-range": f"{start}-{end - 1}"})
        answer = await self._connection.ask_once(ask, 202, 404, 416, *_NO_CHUNKS)
        if answer.status in _NO_CHUNKS and start == 0:
            self._whole = True
        if answer.status != 202:
            raise _Lost(f"chunk refused: {answer.status} {error_code(answer)}")
        self._moved(answer)
        told = _told(answer)
        self._there = end if told is None or end == 1 else told
        if not start < self._there <= end:
            raise _Lost(f"{self._there} bytes are there after {start} to {end} were sent")
        self._watch(self._there)

    async def _close(self) -> None:
        mark = "&" if "?" in (self._location or "") else "?"
        start = 0 if self._whole else self._descriptor.size
        ask = self._sends("PUT", f"{mark}digest={quote(self._descriptor.digest)}", start, self._descriptor.size, {})
        answer = await self._connection.ask_once(ask, 201, 400, 404, 416)
        if answer.status == 201:
            return
        code = error_code(answer)
        if code == "DIGEST_INVALID":
            self._refused += 1
        elif answer.status == 400 and not code.startswith("BLOB_UPLOAD"):
            raise refusal(answer, host=self._connection.host, what=ask.what)
        if self._refused > 1:
            raise SignatureError(
                ErrorCode.DIGEST_MISMATCH,
                f"Image registry {self._connection.host} received other bytes than {self._descriptor.digest}, twice.",
                details={"digest": self._descriptor.digest},
            )
        raise _Lost(f"upload refused: {answer.status} {code}")

    async def _arrived(self) -> bool:
        """After a failure: whether the blob is there all the same; and if not, where the upload goes on."""
        if (await self._ask_once("HEAD", blob_path(self._repository, self._descriptor.digest), 200, 404)).status == 200:
            return True
        if self._location is not None and not self._whole:
            answer = await self._ask_once("GET", self._location, 200, 202, 204, 400, 404, 405)
            told = _told(answer)
            if answer.status < 300 and told is not None and told <= self._descriptor.size:
                self._moved(answer)
                self._there = told
                if told - self._kept >= _PROGRESS_BYTES:
                    self._tries.progress()
                self._kept = told
                return False
        self._forget()
        return False

    def _forget(self) -> None:
        self._location, self._there = None, 0

    def _moved(self, answer: Answer) -> None:
        location = answer.headers.get("location", "")
        if location or self._location is None:
            self._location = self._connection.absolute(location, what=self._what)

    async def _ask_once(self, method: str, url: str, *expected: int) -> Answer:
        headers = {"content-length": "0"} if method == "POST" else {}
        ask = Ask(method=method, url=url, what=self._what, scope=pushing(self._repository), headers=headers)
        return await self._connection.ask_once(ask, *expected)

    def _sends(self, method: str, query: str, start: int, end: int, headers: dict[str, str]) -> Ask:
        return Ask(
            method=method,
            url=f"{self._location}{query}",
            what=self._what,
            scope=pushing(self._repository),
            headers={**_TYPE, "content-length": str(end - start), **headers},
            body=(lambda: self._bytes(start, end)) if end > start else None,
        )

    async def _bytes(self, start: int, end: int) -> AsyncIterator[bytes]:
        at = start
        while at < end:
            piece = await asyncio.to_thread(self._read, at, min(PIECE_BYTES, end - at))
            at += len(piece)
            self.sent += len(piece)
            yield piece

    def _read(self, at: int, count: int) -> bytes:
        self._file.seek(at)
        return self._file.read(count)

    @property
    def _what(self) -> str:
        return f"push blob {self._descriptor.digest}"

    def _loses(self, cause: str) -> Unavailable:
        host = self._connection.host
        return Unavailable(
            ErrorCode.OCI_UNREACHABLE,
            f"Image registry {host} loses uploads: {self._what}. Try again later.",
            details={"registry": host},
            log_context={"cause": cause},
        )


def pushing(repository: str) -> str:
    """The scope of writing."""
    return f"repository:{repository}:pull,push"


def blob_path(repository: str, digest: str) -> str:
    """Where a blob is, below the registry's origin."""
    return f"/v2/{repository}/blobs/{digest}"


def _told(answer: Answer) -> int | None:
    """Bytes the registry says it has; "0-0" is also what registries say of none."""
    found = _RANGE.fullmatch(answer.headers.get("range", ""))
    last = None if found is None else int(found[1])
    return last + 1 if last else last
