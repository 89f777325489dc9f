# SPDX-License-Identifier: Apache-2.0
"""From declared files to a registered version: declare, send each file, complete."""
