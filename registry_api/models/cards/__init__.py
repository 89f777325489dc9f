# SPDX-License-Identifier: Apache-2.0
"""Model cards: what a model is for, what it learned from, how good it is, and where it must not be used."""
