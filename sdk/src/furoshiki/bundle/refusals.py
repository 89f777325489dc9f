# SPDX-License-Identifier: Apache-2.0
"""The reasons for which a bundle is refused: the same stable codes as the server's."""

from __future__ import annotations

from enum import StrEnum

from furoshiki.errors import SignatureRefused


class Reason(StrEnum):
    """Why a bundle is refused."""

    SIGNATURE_MISSING = "SIGN_001"  # the bundle carries no signature
    SIGNATURE_INVALID = "SIGN_002"  # the signature does not match what it covers
    SIGNER_UNTRUSTED = "SIGN_003"  # signed by a key the policy does not list
    DIGEST_MISMATCH = "SIGN_004"  # a file's digest or size differs from the manifest
    FILE_UNEXPECTED = "SIGN_005"  # the bundle holds a file the manifest does not list
    FILE_MISSING = "SIGN_006"  # the manifest lists a file the bundle does not hold
    PATH_UNSAFE = "SIGN_007"  # a path that leaves the bundle, a symlink or a special file
    EXPIRED = "SIGN_008"  # the key or the manifest is outside its validity
    REVOKED = "SIGN_009"  # the key or the digest is revoked
    MANIFEST_INVALID = "SIGN_010"  # the manifest or policy is malformed or not canonical
    SUBJECT_MISMATCH = "SIGN_011"  # validly signed, but not what was asked for


def refuse(reason: Reason, message: str) -> SignatureRefused:
    """The error that refuses a bundle."""
    return SignatureRefused(reason.value, message)
