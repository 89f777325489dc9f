# SPDX-License-Identifier: Apache-2.0
"""The registry's database: columns, engine, transactions, migrations. Knows no table."""
