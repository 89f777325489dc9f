# SPDX-License-Identifier: Apache-2.0
"""OCI images and artifacts: layouts on disk, registries over HTTP, and what is attached to an image. All by digest."""
