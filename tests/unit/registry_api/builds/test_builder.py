# SPDX-License-Identifier: Apache-2.0
"""What a Bento holds is compared with what was verified."""

from __future__ import annotations

import pytest

from artifacts.manifest import FileEntry
from artifacts.testing import make_manifest
from core.errors import ErrorCode, SignatureError
from registry_api.builds.builder import check_holds

MODEL = make_manifest()
PACKED = tuple(FileEntry(path=f"src/model/{entry.path}", size=entry.size, digest=entry.digest) for entry in MODEL.files)
CHANGED = FileEntry(path=PACKED[0].path, size=PACKED[0].size, digest="sha256:" + "0" * 64)


def test_a_bento_with_the_verified_files_passes() -> None:
    """Every file of the bundle is there with its digest; others may be there too."""
    check_holds((*PACKED, FileEntry(path="bento.yaml", size=1, digest="sha256:" + "0" * 64)), MODEL)


@pytest.mark.parametrize(
    "packed", [PACKED[1:], (FileEntry(path=PACKED[0].path, size=1, digest="sha256:" + "0" * 64), *PACKED[1:])]
)
def test_a_bento_that_lost_or_changed_a_file_is_refused(packed: tuple[FileEntry, ...]) -> None:
    """SIGN_004 names the file of the bundle."""
    with pytest.raises(SignatureError, match=MODEL.files[0].path) as refused:
        check_holds(packed, MODEL)
    assert refused.value.code is ErrorCode.DIGEST_MISMATCH
