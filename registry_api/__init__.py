# SPDX-License-Identifier: Apache-2.0
"""The registry: tenants, keys, models, immutable signed versions, stages, jobs, builds and deployments over REST.

``bootstrap`` puts the slices together as ``settings`` say. Slices are ordered (``.importlinter`` has the whole order); a
lower one never imports a higher one. Only ``repository.py``, ``tables.py`` and ``db`` know SQLAlchemy; only endpoints know
HTTP.
"""
