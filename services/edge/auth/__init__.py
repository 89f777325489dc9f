# SPDX-License-Identifier: Apache-2.0
"""Turning a credential into a principal: the port, and one module per way to know whom a credential belongs to."""

from services.edge.auth.interface import SCOPES, Authenticator, Directory, Identified
from services.edge.auth.open import OpenAuth
from services.edge.auth.remembered import RememberedAuth

__all__ = ["SCOPES", "Authenticator", "Directory", "Identified", "OpenAuth", "RememberedAuth"]
