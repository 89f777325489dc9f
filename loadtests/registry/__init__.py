# SPDX-License-Identifier: Apache-2.0
"""The registry on a large PostgreSQL: latencies of what is asked most, the plans behind them, and resolves per second."""
