# SPDX-License-Identifier: Apache-2.0
"""What this service's worker holds in memory: for a model, and after many requests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import numpy as np

from loadtests.bench.contenders.asking import http_meter
from loadtests.bench.contenders.ours import Service, service
from loadtests.bench.place import Place
from loadtests.bench.wire import JSON_V2
from loadtests.bench.work import OURS, Contender, Meter, Metrics
from loadtests.servers import family

_MB: Final = 1e6
_WARM_S: Final = 3.0  # until allocators have what they need
_CONNECTIONS: Final = 64


def worker_memory(*, small: str, large: str) -> Contender:
    """The resident set of the worker; a level is a number of requests.

    Args:
        small: The model whose worker stands for the runtime alone, and that is asked that many times.
        large: The model whose weight is measured, asked over one connection, so that batches do not count.
    """

    @contextmanager
    def opened(place: Place) -> Iterator[Meter]:
        runtime, loaded = _after_load(place, small), _after_load(place, large)
        size = place.file(large).stat().st_size
        with service(place, small) as ours:
            meter = _meter(place, small, ours)

            def measure(level: int, seconds: float) -> Metrics:
                return {
                    **_slope(meter, ours, level, seconds),
                    "runtime_mb": runtime / _MB,
                    "loaded_mb": loaded / _MB,
                    "model_mb": size / _MB,
                    "model_factor": (loaded - runtime) / size,
                }

            yield measure

    return Contender(name=OURS, open=opened)


def _after_load(place: Place, model: str) -> int:
    with service(place, model) as ours:
        _meter(place, model, ours)(1, _WARM_S)
        return _resident(ours)


def _slope(meter: Meter, ours: Service, requests: int, seconds: float) -> Metrics:
    """Bytes gained per request: a line through the resident set after each slice of load."""
    meter(_CONNECTIONS, _WARM_S)
    counts, sizes, errors = [0.0], [float(_resident(ours))], 0.0
    while counts[-1] < requests:
        figures = meter(_CONNECTIONS, min(seconds, 1.0))
        counts.append(counts[-1] + figures["requests"])
        sizes.append(_resident(ours))
        errors += figures["errors"]
    slope = np.polyfit(counts, sizes, 1)[0]
    return {
        "slope_bytes": float(slope),
        "gain_mb": (sizes[-1] - sizes[0]) / _MB,
        "requests": counts[-1],
        "errors": errors,
    }


def _meter(place: Place, model: str, ours: Service) -> Meter:
    url = f"{ours.url}/v2/models/{model}/infer"
    return http_meter(place, place.subject(model), JSON_V2, url, headers={"X-API-Key": ours.api_key})


def _resident(ours: Service) -> int:
    """Bytes of the worker: the largest process below BentoML's supervisor."""
    return max(process.memory_info().rss for process in family(ours.pid)[1:])
