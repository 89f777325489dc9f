# SPDX-License-Identifier: Apache-2.0
"""One module per runtime; the only place where runtimes are imported."""
