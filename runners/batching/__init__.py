# SPDX-License-Identifier: Apache-2.0
"""Batching that cannot mix requests, is fair between tenants and learns what each model is worth batching for.

A request goes through ``shapes`` (its bucket and cost), ``intake`` (is it queued at all), ``queue`` (with ``lanes`` and
``accounts``: where and how it waits), ``starts`` (with ``curve``, ``sizing`` and ``lengths``: when, and with whom it runs),
``assemble`` (merging and splitting) and ``endings``. ``batcher`` holds them together; ``cores`` shares a device between
models; ``options`` is what a model declares, ``policy`` what the operator sets.
"""
