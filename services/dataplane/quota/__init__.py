# SPDX-License-Identifier: Apache-2.0
"""How much each tenant may use: its account in this process, and how processes share a tenant's limits."""
