# SPDX-License-Identifier: Apache-2.0
"""The OpenAPI 3.1 document of every route of this service, made from one table of operations and typed bodies."""
