# SPDX-License-Identifier: Apache-2.0
"""How each side is started and asked; every server's answers are compared with onnxruntime's before it is measured."""
