# SPDX-License-Identifier: Apache-2.0
"""What inference services were asked: the request log, and what each tenant used."""
