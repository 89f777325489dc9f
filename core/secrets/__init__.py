# SPDX-License-Identifier: Apache-2.0
"""Secrets by reference: a setting says where its value lies instead of what it is."""
