# SPDX-License-Identifier: Apache-2.0
"""A Furoshiki in memory, for tests of code that uses the SDK: no process, no port, no model runtime.

:class:`FakeService` is a registry and an inference service behind one object that both clients take as their
``transport``. It checks what the real ones check (keys, digests, states, tensors), signs what it registers, and can be
told to fail. What it does not do: limits, roles, several tenants, running models (a Python function stands for each).

>>> from furoshiki import Client
>>> from furoshiki.testing import API_KEY, FakeService
>>> client = Client(api_key=API_KEY, transport=FakeService())
"""

from furoshiki.testing.clock import ManualClock
from furoshiki.testing.loopback import loopback
from furoshiki.testing.service import API_KEY, FakeService

__all__ = ["API_KEY", "FakeService", "ManualClock", "loopback"]
