# SPDX-License-Identifier: Apache-2.0
"""Benchmarks and load tests: both sides in one run, ratios printed, raw samples kept under ``loadtests/results/``."""
