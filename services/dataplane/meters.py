# SPDX-License-Identifier: Apache-2.0
"""What is counted of each loaded model.

Counters are looked up by model once and then kept with it, so that a request resolves no labels; they are forgotten when the
model is closed. The samples themselves stay in the scrape: where several processes share one, labels cannot be removed.
"""

from __future__ import annotations

from core.telemetry import hot, metrics
from core.telemetry.hot import Bins, Tally
from runners.cache import LoadedModel


class _Meter:
    __slots__ = ("_labels", "_requests", "_seconds")

    def __init__(self, model: LoadedModel) -> None:
        self._labels = (model.tenant, model.model, model.version)
        self._requests: dict[tuple[str, str], Tally] = {}
        self._seconds = Bins(metrics.REQUEST_SECONDS.labels(*self._labels))

    def count(self, protocol: str, code: str, seconds: float) -> None:
        key = (protocol, code)
        requests = self._requests.get(key)
        if requests is None:
            requests = self._requests[key] = Tally(metrics.REQUESTS.labels(*self._labels, *key))
        requests.add()
        self._seconds.observe(seconds)


class Meters:
    """The counters of every loaded model."""

    def __init__(self) -> None:
        self._models: dict[LoadedModel, _Meter] = {}

    def __len__(self) -> int:
        return len(self._models)

    def count(self, model: LoadedModel, protocol: str, code: str, seconds: float) -> None:
        """Counts one request.

        Args:
            model: What answered it.
            protocol: The edge it came through.
            code: ``ok``, or the code of its error.
            seconds: From the decoded request to its result.
        """
        meter = self._models.get(model)
        if meter is None:
            meter = self._models[model] = _Meter(model)
        meter.count(protocol, code, seconds)

    def forget(self, model: LoadedModel) -> None:
        """Ends what is kept of a model that is being closed; nothing that was counted is lost."""
        hot.flush()
        self._models.pop(model, None)
        info = metrics.MODEL_INFO.labels(
            model.tenant, model.model, model.version, model.digest, model.key_id, model.handle.runner
        )
        info.dec()
