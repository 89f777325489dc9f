# SPDX-License-Identifier: Apache-2.0
"""What is told of a conversion that onnx2tf gave up."""

from __future__ import annotations

from converters.recipes.onnx_tflite import reason_in

LOG = """Model optimizing started ====
\x1b[31mERROR:\x1b[0m The trace log is below.
Traceback (most recent call last):
  File "onnx2tf/utils/common_functions.py", line 312, in print_wrapper_func
ValueError: Dimensions must be equal, but are 64 and 16 for '{{node tf.math.multiply}}'
\x1b[31mERROR:\x1b[0m input_onnx_file_path: model.onnx
\x1b[31mERROR:\x1b[0m onnx_op_name: /blocks/Mul
\x1b[31mERROR:\x1b[0m Read this and deal with it.
"""


def test_the_exception_and_its_node_are_told() -> None:
    """The last exception of the log, without colours, and the node that it names."""
    expected = (
        "ValueError: Dimensions must be equal, but are 64 and 16 for '{{node tf.math.multiply}}' (node /blocks/Mul)"
    )
    assert reason_in(LOG) == expected


def test_a_log_without_an_exception_is_pointed_to() -> None:
    """Where nothing was raised the reader is sent to the log."""
    assert reason_in("Killed\n") == "the job's log has its reason."
