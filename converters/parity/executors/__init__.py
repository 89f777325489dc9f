# SPDX-License-Identifier: Apache-2.0
"""One file per format: loads a model and runs it on the CPU, for comparison only."""
