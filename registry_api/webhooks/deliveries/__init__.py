# SPDX-License-Identifier: Apache-2.0
"""Deliveries: sending what the outbox holds, and the log of it."""
