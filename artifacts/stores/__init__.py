# SPDX-License-Identifier: Apache-2.0
"""Where blobs live, by tenant and digest."""
