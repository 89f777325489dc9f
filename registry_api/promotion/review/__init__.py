# SPDX-License-Identifier: Apache-2.0
"""Sets gates, and collects what meets them: evidence and approvals."""
