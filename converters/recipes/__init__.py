# SPDX-License-Identifier: Apache-2.0
"""One module per converter library, imported in the sandbox only, where its recipe runs; and the catalogue of them all."""
