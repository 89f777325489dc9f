# SPDX-License-Identifier: Apache-2.0
"""Two tenants on one service: how much slower one becomes when the other sends ten times its load."""
