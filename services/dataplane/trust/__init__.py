# SPDX-License-Identifier: Apache-2.0
"""Whom the tenants trust as time goes by, and what may therefore no longer be used."""
