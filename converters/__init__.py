# SPDX-License-Identifier: Apache-2.0
"""Converters: from one format or precision of a model to another, in a sandbox, measured and never trusted unseen."""
