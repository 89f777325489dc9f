# SPDX-License-Identifier: Apache-2.0
"""How fast a large model is pushed and fetched, plain and encrypted, and how much memory that takes."""
