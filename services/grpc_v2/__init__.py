# SPDX-License-Identifier: Apache-2.0
"""The Open Inference Protocol over gRPC, served in the process and event loop of the HTTP edges."""
