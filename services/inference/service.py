# SPDX-License-Identifier: Apache-2.0
"""The BentoML service: the same class is served from a checkout, from a Bento and inside an image.

``service_class`` replaces BentoML's ASGI application with ours wrapped around it: inference routes never pass through
BentoML's middlewares, everything else still does. When a built Bento is loaded, its model is verified before a worker is
started, so ``bentoml serve`` of a damaged Bento ends at once with the ``SIGN_*`` code; the process that loads it verifies
again.

With topology ``split`` the service depends on :mod:`runners.service`, and BentoML starts that as a process of its own. What
BentoML would put between the two, a proxy that sends pickled calls, is never made: the workers talk to the runner's own
socket.
"""

from __future__ import annotations

from typing import Any, Final

import bentoml
import uvicorn.config
from bentoml.exceptions import BentoMLException

from core.errors import FuroshikiError
from runners.hosting import name_supervisor
from runners.service import Runner
from runners.settings import ServingSettings
from services.edge.http import App
from services.inference.bootstrap import preflight
from services.inference.lifespan import HostedApp
from services.inference.settings import InferenceSettings


class FuroshikiService(bentoml.Service[Any]):  # type: ignore[misc] # attrs class without type information
    """A BentoML service whose routes are answered by :class:`services.inference.app.InferenceApp`."""

    def to_asgi(self, is_main: bool = True) -> App:
        inner: App = super().to_asgi(is_main=is_main)
        self.dependencies.clear()  # the runner was started; a proxy for it would be made of this
        uvicorn.config.HTTP_PROTOCOLS["auto"] = "services.front.protocol:FrontProtocol"  # read by the worker's server
        return HostedApp(inner)

    def on_load_bento(self, bento: bentoml.Bento) -> None:
        # Not super(): it expects the services of the topology the Bento was built in.
        for service in self.all_services().values():
            service.bento = bento
        try:
            preflight(InferenceSettings.read())
        except FuroshikiError as error:
            raise BentoMLException(str(error)) from None


_SETTINGS: Final = ServingSettings.read()
name_supervisor()  # before BentoML's supervisor, which imports this first, starts workers


@bentoml.service(
    service_class=FuroshikiService,
    name="furoshiki",
    workers=_SETTINGS.http.workers,
    http={"host": "127.0.0.1"},
    logging={"access": {"enabled": False}},
)
class Inference:
    """Serves signed models over the Open Inference Protocol and ``/v1/infer``."""

    if _SETTINGS.is_split:
        runner = bentoml.depends(Runner)
