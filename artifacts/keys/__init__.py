# SPDX-License-Identifier: Apache-2.0
"""Where signing keys and trust policies come from."""
