# SPDX-License-Identifier: Apache-2.0
"""The BentoML service: settings, wiring, the ASGI application and its place inside ``bentoml serve``."""
