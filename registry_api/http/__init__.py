# SPDX-License-Identifier: Apache-2.0
"""What every route shares: error bodies, authentication, pagination, limits, request ids."""
