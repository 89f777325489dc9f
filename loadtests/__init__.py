# SPDX-License-Identifier: Apache-2.0
"""Benchmarks and load tests. What is compared runs in one run; what was measured is kept under ``loadtests/results/``."""
