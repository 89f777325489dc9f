# SPDX-License-Identifier: Apache-2.0
"""TorchScript files and ``torch.export`` programs."""
