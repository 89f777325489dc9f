# SPDX-License-Identifier: Apache-2.0
"""What processes tell each other through Redis. Nothing here is needed for correctness; see ADR 0019."""
