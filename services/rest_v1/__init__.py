# SPDX-License-Identifier: Apache-2.0
"""The short form: ``POST /v1/infer`` with inputs by name, in JSON, MessagePack or Protobuf; datatypes come from the model."""
