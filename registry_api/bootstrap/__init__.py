# SPDX-License-Identifier: Apache-2.0
"""The composition root: which implementation stands behind each port, as the settings say."""
