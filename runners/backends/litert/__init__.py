# SPDX-License-Identifier: Apache-2.0
"""TFLite models through LiteRT (``ai_edge_litert``) or, where it is not installed, its predecessor ``tflite_runtime``."""
