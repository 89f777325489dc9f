# SPDX-License-Identifier: Apache-2.0
"""Batching that cannot mix requests: policy (limits), assemble (merge and split), batcher (queue and dispatch)."""
