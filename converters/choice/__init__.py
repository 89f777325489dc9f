# SPDX-License-Identifier: Apache-2.0
"""Which of several results are worth keeping: the Pareto front of size, latency and fidelity."""
