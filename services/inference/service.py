# SPDX-License-Identifier: Apache-2.0
"""The BentoML service: the same class is served from a checkout, from a Bento and inside an image.

``service_class`` replaces BentoML's ASGI application with ours wrapped around it: inference routes never pass through
BentoML's middlewares, everything else still does. When a built Bento is loaded, its model is verified before a worker is
started, so ``bentoml serve`` of a damaged Bento ends at once with the ``SIGN_*`` code; each worker verifies again what it
loads.
"""

from __future__ import annotations

from typing import Any

import bentoml
from bentoml.exceptions import BentoMLException

from core.errors import FuroshikiError
from services.edge.http import App
from services.inference.bootstrap import preflight
from services.inference.lifespan import HostedApp
from services.inference.settings import InferenceSettings


class FuroshikiService(bentoml.Service[Any]):  # type: ignore[misc] # attrs class without type information
    """A BentoML service whose routes are answered by :class:`services.inference.app.InferenceApp`."""

    def to_asgi(self, is_main: bool = True) -> App:
        inner: App = super().to_asgi(is_main=is_main)
        return HostedApp(inner)

    def on_load_bento(self, bento: bentoml.Bento) -> None:
        super().on_load_bento(bento)
        try:
            preflight(InferenceSettings.read())
        except FuroshikiError as error:
            raise BentoMLException(str(error)) from None


@bentoml.service(
    service_class=FuroshikiService,
    name="furoshiki",
    http={"host": "127.0.0.1"},
    logging={"access": {"enabled": False}},
)
class Inference:
    """Serves signed models over the Open Inference Protocol and ``/v1/infer``."""
