# SPDX-License-Identifier: Apache-2.0
"""An HTTP/2 server for gRPC on the event loop, without a task per inference."""
