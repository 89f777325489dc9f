# SPDX-License-Identifier: Apache-2.0
"""What happened in a tenant: an append-only chain of entries, each bound to the one before it by a digest, and signed."""
