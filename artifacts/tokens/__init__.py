# SPDX-License-Identifier: Apache-2.0
"""Signed tokens (JWT): whose keys sign them, checking them, and making our own. The registry and the services share this."""
