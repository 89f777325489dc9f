# SPDX-License-Identifier: Apache-2.0
"""A Kubernetes API on loopback: the part this registry uses, for tests, where no API server can be had.

It is our reading of the documentation, not Kubernetes: it shows that the client side keeps to the protocol as written, and no
more. It speaks server-side apply with field managers and conflicts, dry runs, lists with label selectors and pages, watches
with versions and 410, deletion with preconditions and foreground propagation, logs, events and ``Status`` errors. Its
controllers do what a test tells them.
"""

from registry_api.deployments.kubernetes.testing.objects import Objects, Refused
from registry_api.deployments.kubernetes.testing.server import Asked, ClusterServer

__all__ = ["Asked", "ClusterServer", "Objects", "Refused"]
