# SPDX-License-Identifier: Apache-2.0
"""Bentos and images that run: started on a target, proven ready by a real inference, watched, changed, stopped."""
