# SPDX-License-Identifier: Apache-2.0
"""Names and set-up of logs and metrics."""
