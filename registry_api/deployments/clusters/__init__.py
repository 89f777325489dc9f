# SPDX-License-Identifier: Apache-2.0
"""Deployments that a cluster keeps running: what jobs and the watch do about them. The cluster itself is ``kubernetes/``."""
