# SPDX-License-Identifier: Apache-2.0
"""The instances of deployments: what there is, on which machine."""
