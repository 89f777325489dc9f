# SPDX-License-Identifier: Apache-2.0
"""Tells inside this process that a tenant's models changed, after the commit that changed them."""
