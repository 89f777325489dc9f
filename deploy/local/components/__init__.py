# SPDX-License-Identifier: Apache-2.0
"""Real components for tests, benches and demonstrations: each starts one in a folder, on loopback, and ends it."""
