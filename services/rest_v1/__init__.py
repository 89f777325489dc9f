# SPDX-License-Identifier: Apache-2.0
"""The short form: ``POST /v1/infer`` with named inputs as plain nested lists; datatypes come from the model."""
