# SPDX-License-Identifier: Apache-2.0
"""The fast way in: inference requests answered at the connection, without a task or a framework between."""
