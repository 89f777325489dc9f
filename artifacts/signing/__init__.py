# SPDX-License-Identifier: Apache-2.0
"""How a bundle is signed, and the one verifier that decides whether it may be used."""
