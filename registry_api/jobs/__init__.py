# SPDX-License-Identifier: Apache-2.0
"""Long work that survives a crash: rows with a lease, and the loop that runs them."""
