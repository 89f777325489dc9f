# SPDX-License-Identifier: Apache-2.0
"""Structured logs: one JSON object a line on stderr, or readable lines when stderr is a terminal.

An event has a fixed name and fields; values of fields whose name marks a secret are replaced. Standard-library loggers
(BentoML, uvicorn, SQLAlchemy) pass through the same renderer.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from typing import Any, Final, Literal, TypeAlias

import orjson
import structlog

Style: TypeAlias = Literal["auto", "json", "console"]

_REDACTED: Final = "[redacted]"
_SECRET_FIELDS: Final = frozenset(
    {"api_key", "authorization", "password", "private_key", "secret", "token", "x-api-key"}
)


def _redact(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for field in _SECRET_FIELDS & event.keys():
        event[field] = _REDACTED
    return event


def _dumps(event: MutableMapping[str, Any], **_: object) -> str:
    return orjson.dumps(event, default=str, option=orjson.OPT_SERIALIZE_NUMPY).decode()


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
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer() if console else structlog.processors.JSONRenderer(serializer=_dumps)
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
            structlog.processors.format_exc_info,
            renderer,
        ],
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    logging.getLogger("uvicorn.access").propagate = False  # each service writes its own request lines


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """A logger for events: ``log.info("model_loaded", model=..., digest=...)``."""
    logger: structlog.stdlib.BoundLogger = structlog.get_logger(name)
    return logger
