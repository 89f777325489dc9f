# SPDX-License-Identifier: Apache-2.0
"""Every limit and choice of the registry, read from ``FUROSHIKI_*`` once, when a process starts."""
