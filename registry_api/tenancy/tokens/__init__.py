# SPDX-License-Identifier: Apache-2.0
"""Tokens instead of keys: the registry's own, made for whoever shows a credential, and those of OpenID providers."""
