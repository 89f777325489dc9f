# SPDX-License-Identifier: Apache-2.0
"""One machine, no containers: `make up` and `make demo`."""
