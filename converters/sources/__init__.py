# SPDX-License-Identifier: Apache-2.0
"""Formats that are only converted, opened so that their signature can be read and their outputs compared."""
