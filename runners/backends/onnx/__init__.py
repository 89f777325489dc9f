# SPDX-License-Identifier: Apache-2.0
"""ONNX models through onnxruntime, on the execution provider of each device."""
