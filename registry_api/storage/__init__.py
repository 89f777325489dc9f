# SPDX-License-Identifier: Apache-2.0
"""What a tenant keeps in the blob store: how many bytes, and which of them nobody refers to any more."""
