# SPDX-License-Identifier: Apache-2.0
"""The log of inference requests: noted on the hot path, delivered beside it."""
