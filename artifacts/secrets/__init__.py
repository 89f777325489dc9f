# SPDX-License-Identifier: Apache-2.0
"""HashiCorp Vault and OpenBao: the connection that everything kept there shares, and their secrets."""
