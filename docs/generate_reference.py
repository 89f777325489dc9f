# SPDX-License-Identifier: Apache-2.0
"""Writes docs/reference/{errors,features,settings,metrics}.md and openapi-inference.json from the code.

With ``--check`` it writes nothing and fails if a page is out of date; ``make check`` does that.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, get_args, get_origin

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import orjson
from prometheus_client.metrics import MetricWrapperBase
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

import core.telemetry.metrics
from core.errors import ErrorCode
from core.features import Feature
from core.settings import variable_name
from registry_api.http.problem import status_of as registry_status
from registry_api.settings.registry import Settings as RegistrySettings
from registry_api.settings.worker import WorkerSettings
from services.edge.features import DEFAULT_FEATURES
from services.edge.status import http_status
from services.inference.settings import InferenceSettings
from services.openapi.document import document

ROOT: Final = Path(__file__).resolve().parents[1]
REFERENCE: Final = ROOT / "docs" / "reference"
_NOTE: Final = "Generated from the code by `docs/generate_reference.py`; do not edit.\n\n"


def errors_page() -> str:
    """Every code with its statuses and meaning."""
    meanings = _comments(ROOT / "core" / "errors.py")["ErrorCode"]
    rows = [
        f"| `{code}` | `{code.name}` | {http_status(code)} | {registry_status(code)} | {meanings[code.name]} |"
        for code in sorted(ErrorCode)
    ]
    head = "| code | name | inference | registry | meaning |\n| --- | --- | --- | --- | --- |\n"
    return f"# Error codes\n\n{_NOTE}A code never changes its meaning.\n\n{head}" + "\n".join(rows) + "\n"


def settings_page() -> str:
    """Every environment variable of every process."""
    parts = [
        f"# Settings\n\n{_NOTE}Environment variables; sizes are bytes and times seconds unless the name says otherwise.\n"
    ]
    for title, kind, files in (
        ("Inference service", InferenceSettings, ("runners/settings.py", "services/inference/settings.py")),
        (
            "Registry and worker",
            RegistrySettings,
            tuple(f"registry_api/settings/{name}.py" for name in ("registry", "identity", "storage")),
        ),
        ("Worker only", WorkerSettings, ("registry_api/settings/worker.py",)),
    ):
        comments = _comments(ROOT / "core" / "settings.py")
        for file in files:
            comments |= _comments(ROOT / file)
        parts.append(f"\n## {title}\n\n| variable | default | meaning |\n| --- | --- | --- |\n")
        parts += [f"| `{name}` | {default} | {meaning} |\n" for name, default, meaning in _variables(kind, comments)]
    return "".join(parts)


def metrics_page() -> str:
    """Every metric of the product."""
    rows = []
    for metric in vars(core.telemetry.metrics).values():
        if isinstance(metric, MetricWrapperBase):
            labels = ", ".join(f"`{label}`" for label in metric._labelnames)
            suffix = "_total" if metric._type == "counter" else ""
            rows.append(f"| `{metric._name}{suffix}` | {metric._type} | {labels} | {metric._documentation} |")
    head = "| name | type | labels | meaning |\n| --- | --- | --- | --- |\n"
    return f"# Metrics\n\n{_NOTE}{head}" + "\n".join(sorted(rows)) + "\n"


def _variables(
    kind: type[BaseModel], comments: dict[str, dict[str, str]], above: tuple[str, ...] = ()
) -> Iterator[tuple[str, str, str]]:
    for name, field in kind.model_fields.items():
        section = field.annotation
        named = get_args(section)[1] if get_origin(section) is Mapping else None
        if isinstance(named, type) and issubclass(named, BaseModel):  # sections under names that the operator chooses
            yield from _variables(named, comments, (*above, name, "<name>"))
            continue
        if isinstance(section, type) and issubclass(section, BaseModel):
            yield from _variables(section, comments, (*above, name))
        else:
            owner = next(base.__name__ for base in kind.__mro__ if name in base.__annotations__)
            default = "" if field.default is PydanticUndefined else _shown(field.default)
            yield variable_name((*above, name)), default, comments.get(owner, {}).get(name, "")


def _shown(default: Any) -> str:
    if isinstance(default, Path) and default.is_absolute():
        return f"`<code>/{default.relative_to(ROOT)}`" if default.is_relative_to(ROOT) else f"`{default}`"
    return "not set" if default is None else f"`{default}`"


def _comments(file: Path) -> dict[str, dict[str, str]]:
    """Trailing comments of class attributes, by class and attribute."""
    source = file.read_text()
    lines = source.splitlines()
    found: dict[str, dict[str, str]] = {}
    for node in ast.parse(source).body:
        if isinstance(node, ast.ClassDef):
            found[node.name] = {
                name: lines[(item.end_lineno or item.lineno) - 1].partition("  # ")[2]
                for item in node.body
                for name in _names(item)
            }
    return found


def _names(item: ast.stmt) -> list[str]:
    if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name):
        return [item.target.id]
    return [t.id for t in item.targets if isinstance(t, ast.Name)] if isinstance(item, ast.Assign) else []


def features_page() -> str:
    """Every feature that can be switched per tenant."""
    meanings = _comments(ROOT / "core" / "features.py")["Feature"]
    rows = [
        f"| `{feature}` | {'on' if feature in DEFAULT_FEATURES else 'off'} | {meanings[feature.name]} |"
        for feature in Feature
    ]
    head = "| feature | by default | what it is |\n| --- | --- | --- |\n"
    return (
        f"# Features\n\n{_NOTE}A tenant's record switches them; a call that needs one that is off gets `AUTH_003`.\n\n"
        f"{head}" + "\n".join(rows) + "\n"
    )


def openapi_page() -> str:
    """The document that the inference service serves."""
    return orjson.dumps(document(), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE).decode()


PAGES: Final = {
    "errors.md": errors_page,
    "features.md": features_page,
    "settings.md": settings_page,
    "metrics.md": metrics_page,
    "openapi-inference.json": openapi_page,
}


def main() -> int:
    stale = []
    for name, make in PAGES.items():
        page, text = REFERENCE / name, make()
        if not page.is_file() or page.read_text() != text:
            stale.append(name)
            if "--check" not in sys.argv:
                page.write_text(text)
    if stale and "--check" in sys.argv:
        print(f"Out of date: {', '.join(stale)}. Run: python docs/generate_reference.py", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
