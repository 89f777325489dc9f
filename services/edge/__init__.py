# SPDX-License-Identifier: Apache-2.0
"""What every HTTP edge shares: reading bodies, credentials, request ids, limits, status codes, the access log."""
