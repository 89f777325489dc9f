# SPDX-License-Identifier: Apache-2.0
"""Bytes with an identity: digests, manifests, signatures, keys and the stores that hold them."""
