# SPDX-License-Identifier: Apache-2.0
"""A registry in memory, for tests of whatever talks to one."""

from artifacts.oci.testing.faults import Faults, answered
from artifacts.oci.testing.memory import MemoryRegistry

__all__ = ["Faults", "MemoryRegistry", "answered"]
