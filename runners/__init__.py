# SPDX-License-Identifier: Apache-2.0
"""Executors of models: the runner port, its backends, batching, loading and caching."""
