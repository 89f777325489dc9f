# SPDX-License-Identifier: Apache-2.0
"""From a verified Bento and a base image to an image in an OCI layout, by one of several builders."""
