# SPDX-License-Identifier: Apache-2.0
"""Quantization: smaller numbers for the same model, calibration data, and advice on what suits which kind of model."""
