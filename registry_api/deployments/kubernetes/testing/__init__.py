# SPDX-License-Identifier: Apache-2.0
"""A Kubernetes API on loopback: the part this registry uses, for tests, where no API server can be had.

It is our reading of the documentation, not Kubernetes: it shows that the client side keeps to the protocol as written, and
no more. It speaks server-side apply with field managers, conflicts and immutable fields, dry runs, lists with label selectors
and pages that expire, watches with versions and 410, deletion with preconditions and foreground propagation, logs with
timestamps, events and ``Status`` errors. Its controllers do what a test tells them. It does not check fields: tests hold what
is applied against the strict schemas (``kubernetes-validate``).
"""

from registry_api.deployments.kubernetes.testing.asking import Asked
from registry_api.deployments.kubernetes.testing.objects import Objects
from registry_api.deployments.kubernetes.testing.server import ClusterServer
from registry_api.deployments.kubernetes.testing.storing import Refused

__all__ = ["Asked", "ClusterServer", "Objects", "Refused"]
