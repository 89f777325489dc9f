# SPDX-License-Identifier: Apache-2.0
"""Models, their immutable signed versions, and the uploads that make them."""
