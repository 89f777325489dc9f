# SPDX-License-Identifier: Apache-2.0
"""The words every other layer speaks: errors, references, tensors, requests, settings, time. No I/O happens here."""
