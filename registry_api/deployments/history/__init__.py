# SPDX-License-Identifier: Apache-2.0
"""What was wanted of a deployment, and what happened to it."""
