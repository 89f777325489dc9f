# SPDX-License-Identifier: Apache-2.0
"""The inference service: protocol edges over one data plane."""
