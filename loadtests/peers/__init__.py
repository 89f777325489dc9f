# SPDX-License-Identifier: Apache-2.0
"""The same model served by others, each as its own documentation recommends."""
