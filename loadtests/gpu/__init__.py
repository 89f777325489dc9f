# SPDX-License-Identifier: Apache-2.0
"""What only a machine with a CUDA device can show: the runner contract there; what batches, graphs and pinned memory do."""
