# SPDX-License-Identifier: Apache-2.0
"""The protocol as Protobuf, and the code generated from it by ``make proto``."""
