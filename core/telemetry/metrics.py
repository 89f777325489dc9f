# SPDX-License-Identifier: Apache-2.0
"""Every metric of the product, by name, type and labels, in one place.

Import this only after ``PROMETHEUS_MULTIPROC_DIR`` is set where several processes share one scrape endpoint (BentoML sets
it before a worker starts). Names follow the Prometheus conventions: base units, ``_total`` for counters.
"""

from __future__ import annotations

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

_LATENCY: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_ROWS: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)

REQUESTS: Final = Counter(
    "furoshiki_inference_requests", "Inference requests answered.", ("tenant", "model", "version", "protocol", "code")
)
REQUEST_SECONDS: Final = Histogram(
    "furoshiki_inference_request_seconds",
    "Time from a decoded request to its result.",
    ("tenant", "model", "version"),
    buckets=_LATENCY,
)
QUEUE_SECONDS: Final = Histogram(
    "furoshiki_queue_wait_seconds", "Time a request waited for its batch to start.", ("model",), buckets=_LATENCY
)
BATCH_ROWS: Final = Histogram("furoshiki_batch_rows", "Rows executed together.", ("model",), buckets=_ROWS)
BATCH_SECONDS: Final = Histogram("furoshiki_batch_seconds", "Time the runner took.", ("model",), buckets=_LATENCY)
QUEUE_ROWS: Final = Gauge("furoshiki_queue_rows", "Rows waiting for a batch.", ("model",), multiprocess_mode="livesum")
EXECUTIONS: Final = Gauge(
    "furoshiki_executions_running", "Batches being executed.", ("model",), multiprocess_mode="livesum"
)
PADDING: Final = Counter(
    "furoshiki_batch_padding_elements", "Padded positions executed to make lengths equal.", ("model",)
)
MODEL_LOADS: Final = Counter("furoshiki_model_loads", "Attempts to load a model.", ("tenant", "model", "code"))
MODEL_LOAD_SECONDS: Final = Histogram(
    "furoshiki_model_load_seconds",
    "Time to verify and load a model.",
    ("tenant", "model"),
    buckets=(0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60),
)
MODEL_INFO: Final = Gauge(
    "furoshiki_model_info",
    "1 for each loaded model; labels carry the verified digest and the key that signed it.",
    ("tenant", "model", "version", "digest", "key_id", "runner"),
    multiprocess_mode="livemax",
)
MODEL_PROCESS_BYTES: Final = Gauge(
    "furoshiki_model_process_bytes",
    "Memory that the process of an isolated model has for itself.",
    ("tenant", "model", "version"),
    multiprocess_mode="livesum",
)
MODEL_PROCESS_RESTARTS: Final = Counter(
    "furoshiki_model_process_restarts",
    "Processes of isolated models that took the place of one that ended.",
    ("tenant", "model", "version"),
)
CACHE_BYTES: Final = Gauge("furoshiki_model_cache_bytes", "Bytes of loaded models.", multiprocess_mode="livesum")
QUOTA_REFUSED: Final = Counter(
    "furoshiki_quota_refused", "Requests beyond a limit of their tenant.", ("tenant", "reason")
)
REQUEST_LOG_DROPPED: Final = Counter(
    "furoshiki_request_log_dropped", "Entries of the request log that were not delivered."
)
QUOTA_SHARED: Final = Gauge(
    "furoshiki_quota_shared",
    "1 while the processes share the tenants' limits through Redis, 0 while each keeps to its share.",
    multiprocess_mode="livemin",
)
REDIS_REACHABLE: Final = Gauge(
    "furoshiki_redis_reachable",
    "1 while Redis answers, 0 while it does not and what it coordinates works in its documented degraded mode.",
    multiprocess_mode="livemin",
)
REGISTRY_REQUESTS: Final = Counter(
    "furoshiki_registry_requests", "Registry API requests answered.", ("method", "route", "status")
)
REGISTRY_SECONDS: Final = Histogram(
    "furoshiki_registry_request_seconds", "Registry API request time.", ("method", "route"), buckets=_LATENCY
)
JOBS: Final = Counter("furoshiki_jobs", "Jobs that reached a final state.", ("kind", "state"))
JOB_SECONDS: Final = Histogram(
    "furoshiki_job_seconds", "Time from a job's start to its end.", ("kind",), buckets=(0.1, 1, 5, 15, 60, 300, 1800)
)
