# SPDX-License-Identifier: Apache-2.0
"""Structured logs: one JSON object a line on stderr, or readable lines when stderr is a terminal.

An event has a fixed name and fields; values of fields whose name marks a secret are replaced. Standard-library loggers
(BentoML, uvicorn, SQLAlchemy) pass through the same renderer.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import MutableMapping
from typing import Any, Final, Literal, TypeAlias

import orjson
import structlog

Style: TypeAlias = Literal["auto", "json", "console"]

_REDACTED: Final = "[redacted]"
_SECRET_FIELDS: Final = frozenset(
    {"api_key", "authorization", "credential", "password", "private_key", "secret", "token", "x-api-key"}
)


def _redact(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for field in _SECRET_FIELDS & event.keys():
        event[field] = _REDACTED
    return event


def _dumps(event: MutableMapping[str, Any], **_: object) -> str:
    try:
        return orjson.dumps(event, default=str, option=orjson.OPT_SERIALIZE_NUMPY).decode()
    except TypeError:  # lone surrogates of a file name, numbers beyond 64 bits, keys that are not strings
        return json.dumps(event, default=str, skipkeys=True)


def configure(*, level: str = "INFO", style: Style = "auto", service: str) -> None:
    """Sets up structlog and the root logger of this process.

    Args:
        level: Lowest level written (``DEBUG``, ``INFO``, ``WARNING``, ``ERROR``).
        style: ``json``, ``console``, or ``auto``: console on a terminal, JSON elsewhere.
        service: The process, written into each event as ``service``.
    """
    console = style == "console" or (style == "auto" and sys.stderr.isatty())
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="timestamp"),
        _redact,
    ]
    renderers: list[structlog.typing.Processor] = (
        [structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]  # without local variables
        if console
        else [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(serializer=_dumps)]
    )

    def name_service(_l: object, _m: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        event["service"] = service
        return event

    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[
            name_service,
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            *renderers,
        ],
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    logging.getLogger("uvicorn.access").propagate = False  # each service writes its own request lines
    logging.getLogger("httpx").setLevel(logging.WARNING)  # the SDK's requests are told by the events that need them


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """A logger for events: ``log.info("model_loaded", model=..., digest=...)``."""
    logger: structlog.stdlib.BoundLogger = structlog.get_logger(name)
    return logger
