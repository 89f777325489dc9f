# SPDX-License-Identifier: Apache-2.0
"""Finding models: by words, tags, stage, format and time."""
