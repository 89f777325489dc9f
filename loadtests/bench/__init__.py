# SPDX-License-Identifier: Apache-2.0
"""The benchmark of the data plane against its peers: the same models, the same clients, both sides in one run.

``works/`` says what is compared, one file per work; ``contenders/`` says how each server is started; ``runner`` starts
one after another in every round, so that a drift of the machine meets all; ``report`` turns the samples into tables, charts
and ratios. This service runs with API keys of a real registry, quota, metrics, request ids and access log on.
"""
