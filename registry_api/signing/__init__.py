# SPDX-License-Identifier: Apache-2.0
"""Signing keys of tenants: where they are kept, rotation, revocation, co-signatures."""
