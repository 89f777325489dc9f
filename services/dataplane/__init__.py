# SPDX-License-Identifier: Apache-2.0
"""The one data plane under every protocol: find the model, check the request, run it, count it."""
