# SPDX-License-Identifier: Apache-2.0
"""How a model runs fastest on this device: measured by the registry's worker, used by whoever serves the model."""
