# SPDX-License-Identifier: Apache-2.0
"""ONNX models through onnxruntime, on the execution provider of each device.

From 1.29 on onnxruntime reports names, hashes and settings of models to its vendor unless told otherwise before it is
imported. A server of other people's models tells nobody: the switch is set here, whatever the environment says.
"""

import os

os.environ["ORT_DISABLE_TELEMETRY"] = "1"
