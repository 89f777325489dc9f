# SPDX-License-Identifier: Apache-2.0
"""The load test: a hundred users a second, several tenants, models and protocols; every answer checked, pass or fail."""
