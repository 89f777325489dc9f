# SPDX-License-Identifier: Apache-2.0
"""Encryption at rest: the format of encrypted blobs and the keys that wrap their keys."""
