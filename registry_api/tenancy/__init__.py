# SPDX-License-Identifier: Apache-2.0
"""Tenants, and the API keys that open them."""
