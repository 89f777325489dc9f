# SPDX-License-Identifier: Apache-2.0
"""The variants of a version: what was uploaded, what it was converted to, and which of them to use."""
