# SPDX-License-Identifier: Apache-2.0
"""The target ``podman``: images run as containers on the worker's machine."""
