# SPDX-License-Identifier: Apache-2.0
"""Calibration data of models: uploaded once, signed, never changed."""
