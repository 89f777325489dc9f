# SPDX-License-Identifier: Apache-2.0
"""Log lines as a collector reads them. Each test configures its own process-wide logging and puts it back."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from core.telemetry import logs


class Stderr:
    """What was written to stderr so far."""

    def __init__(self, capture: pytest.CaptureFixture[str]) -> None:
        self._capture = capture
        self._text = ""

    def getvalue(self) -> str:
        self._text += self._capture.readouterr().err
        return self._text


@pytest.fixture
def stderr(capsys: pytest.CaptureFixture[str]) -> Iterator[Stderr]:
    """Stderr of this test; logging is as before afterwards."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    propagate = logging.getLogger("uvicorn.access").propagate
    before = structlog.get_config()
    yield Stderr(capsys)
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.getLogger("uvicorn.access").propagate = propagate
    structlog.configure(**before)


def events(stream: Stderr) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().split("\n") if line]


def test_one_json_object_a_line(stderr: Stderr) -> None:
    """Each event is one line whatever its fields hold, with time, level, service and its fields."""
    logs.configure(style="json", service="inference")
    log = logs.get_logger("test")
    log.info("model_loaded", model="acme/m@1", note='two\nlines "quoted" \u2028 é', seconds=0.5)
    log.warning("second", value=object, number=2**80, name="\udcff", nested={1: b"bytes"})
    first, second = events(stderr)
    assert first["timestamp"].endswith("Z")
    del first["timestamp"]
    assert first == {
        "event": "model_loaded",
        "level": "info",
        "service": "inference",
        "model": "acme/m@1",
        "note": 'two\nlines "quoted" \u2028 é',
        "seconds": 0.5,
    }
    assert (second["event"], second["number"], second["name"]) == ("second", 2**80, "\udcff")


def test_standard_loggers_take_the_same_way(stderr: Stderr) -> None:
    """A library that logs through ``logging`` gets the same lines; uvicorn's access lines are not written."""
    logs.configure(style="json", service="inference")
    logging.getLogger("some.library").warning("%d of %s", 3, "four")
    logging.getLogger("uvicorn.access").info("GET /")
    (line,) = events(stderr)
    assert (line["event"], line["level"], line["service"]) == ("3 of four", "warning", "inference")


@pytest.mark.parametrize("style", ["json", "console"])
def test_secrets_are_redacted(stderr: Stderr, style: logs.Style) -> None:
    """A field whose name marks a secret never shows its value, bound, contextual or given with the event."""
    logs.configure(style=style, service="inference")
    log = logs.get_logger("test").bind(token="s3cr3t-1")
    with structlog.contextvars.bound_contextvars(password="s3cr3t-2"):
        fields = ("api_key", "authorization", "credential", "private_key", "secret", "x-api-key")
        log.info("event", **{name: f"s3cr3t-{name}" for name in fields})
    assert "s3cr3t" not in stderr.getvalue()
    assert stderr.getvalue().count("[redacted]") == 8


def test_an_exception_is_rendered_in_its_line(stderr: Stderr) -> None:
    """The traceback is a field of the event's one line."""
    logs.configure(style="json", service="inference")
    try:
        raise ValueError("why\nindeed")
    except ValueError:
        logs.get_logger("test").exception("unexpected_error", request_id="r1")
        logging.getLogger("library").exception("also")
    first, second = events(stderr)
    for line in (first, second):
        assert line["exception"].startswith("Traceback")
        assert "why\nindeed" in line["exception"]
    assert (first["request_id"], first["level"]) == ("r1", "error")


@pytest.mark.filterwarnings("error")
def test_console_style_is_for_people(stderr: Stderr) -> None:
    """Readable lines with a traceback, but without the local variables of its frames: they may hold secrets."""
    logs.configure(style="console", service="inference")
    credential = "s3cr3t"
    try:
        raise ValueError(f"why{len(credential)}")
    except ValueError:
        logs.get_logger("test").exception("unexpected_error", model="m")
    text = stderr.getvalue()
    assert "unexpected_error" in text
    assert "ValueError: why6" in text
    assert "s3cr3t'" not in text.replace('credential = "s3cr3t"', "")
    with pytest.raises(json.JSONDecodeError):
        json.loads(text.splitlines()[0])


def test_auto_is_json_when_nobody_watches(stderr: Stderr) -> None:
    """Without a terminal the style is JSON."""
    logs.configure(service="worker")
    logs.get_logger("test").info("event")
    assert events(stderr)[0]["service"] == "worker"


def test_lower_levels_are_not_written(stderr: Stderr) -> None:
    """The level is the least that is written."""
    logs.configure(level="ERROR", style="json", service="worker")
    log = logs.get_logger("test")
    log.warning("quiet")
    log.error("loud")
    assert [line["event"] for line in events(stderr)] == ["loud"]
