# SPDX-License-Identifier: Apache-2.0
"""OCI images of Bentos: how they are built, and what is known of where they come from."""
