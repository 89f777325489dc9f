# SPDX-License-Identifier: Apache-2.0
"""The environment of a model's process: what runtimes and Python need, and nothing of the service's own.

The service's variables may hold secrets and addresses; what runs a model has no use for them. Metrics are counted by the
service, so the process is not told of the folder in which the service's processes gather theirs.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

_OWN: Final = str(Path(__file__).resolve().parents[2])  # where this package lies
_NAMES: Final = frozenset({"LANG", "LD_LIBRARY_PATH", "LD_PRELOAD", "PATH", "TZ", "VIRTUAL_ENV"})
_PREFIXES: Final = (
    *("LC_", "MALLOC_", "OMP_", "KMP_", "GOMP_", "MKL_", "OPENBLAS_", "DNNL_", "ONEDNN_", "XNNPACK_"),
    *("CUDA_", "CUDNN_", "NVIDIA_", "TENSORRT_", "TF_", "ORT_", "TORCH_", "PYTORCH_", "XLA_", "OPENVINO_"),
    "FUROSHIKI_DELEGATE_",
)
# numpy's own threads start when it is imported, before the process is confined, and so would not be.
_SET: Final = MappingProxyType({"OPENBLAS_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"})


def environment(own: Mapping[str, str]) -> dict[str, str]:
    """The environment of a model's process, but for its home and temporary folder.

    Args:
        own: This process's.
    """
    kept = {name: value for name, value in own.items() if name in _NAMES or name.startswith(_PREFIXES)}
    found = dict.fromkeys([_OWN, *(entry for entry in sys.path if entry)])  # the same modules, wherever they lie
    return {**kept, **_SET, "PYTHONPATH": os.pathsep.join(found)}
