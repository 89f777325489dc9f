# SPDX-License-Identifier: Apache-2.0
"""Ways to run Furoshiki: pinned environments, one machine, images, clusters."""
