# SPDX-License-Identifier: Apache-2.0
"""The target ``kubernetes``: what a cluster keeps running for us. See :mod:`registry_api.deployments.kubernetes.cluster`."""
