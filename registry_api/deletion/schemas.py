# SPDX-License-Identifier: Apache-2.0
"""Restoring as the API speaks of it."""

from __future__ import annotations

from registry_api.http.fields import Incoming, Line


class RestoreIn(Incoming):
    """Why."""

    reason: Line
