# SPDX-License-Identifier: Apache-2.0
"""Where the models come from: one bundle beside the code, or the registry."""
