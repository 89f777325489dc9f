# SPDX-License-Identifier: Apache-2.0
"""Offline verification of a signed bundle, written independently of the server: a second reading of the same format.

A bundle is a directory with ``manifest.json`` (canonical JSON, RFC 8785), ``model.sig`` (a Sigstore bundle v0.3
around a DSSE envelope around an in-toto statement with the OpenSSF Model Signing predicate v1.0) and exactly the
files that the manifest lists. Guaranteed after :func:`verify`: at the moment of reading, every byte of every file was
covered by a signature of a key that the policy trusts for this tenant. Not guaranteed: that nobody changes the
directory afterwards.
"""

from furoshiki.bundle.manifest import Manifest, ManifestFile, parse_manifest
from furoshiki.bundle.policy import TrustedKey, TrustPolicy, parse_policy
from furoshiki.bundle.verify import Verified, verify

__all__ = [
    "Manifest",
    "ManifestFile",
    "TrustPolicy",
    "TrustedKey",
    "Verified",
    "parse_manifest",
    "parse_policy",
    "verify",
]
