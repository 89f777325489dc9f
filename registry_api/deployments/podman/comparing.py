# SPDX-License-Identifier: Apache-2.0
"""Holds a container that runs against what it was to be started as.

What decides about what it may do and whom it answers is compared: image, command, who may call, user, rights, limits. Not
what follows from a worker's settings or version: those may change while containers go on.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from registry_api.deployments.podman.confinement import Confinement
from registry_api.deployments.target import AUTH_VARIABLE, Launch
from registry_api.images.builders.interface import USER

_PAGE: Final = 1 << 16  # bytes; kernels round limits of memory down to pages, of at most this size
_CPUS: Final = 0.001  # processors; less is rounding


def difference(inspected: Mapping[str, Any], confined: Confinement, launch: Launch) -> str:
    """How a container differs from its launch, in words; "": it does not.

    Args:
        inspected: What ``podman inspect`` says of it.
        confined: What the kernel limits it to.
        launch: As what it was to be started.
    """
    config, host = inspected["Config"], inspected["HostConfig"]
    settings = dict(each.split("=", 1) for each in config["Env"] if "=" in each)
    asked = config["CreateCommand"] or [""]
    own = asked[-1] == inspected["ImageName"] and "--entrypoint" not in asked
    found: list[tuple[str, object, object]] = [
        ("its image", inspected["ImageDigest"], launch.image),
        ("its command", "the image's" if own else "another one", "the image's"),
        (AUTH_VARIABLE, settings.get(AUTH_VARIABLE, "not set"), launch.auth.value),
        ("its user", config["User"], f"{USER}:{USER}"),
        ("its root", "read-only" if host["ReadonlyRootfs"] else "writable", "read-only"),
        ("its capability", ", ".join(inspected["EffectiveCaps"] or ()) or "none", "none"),
    ]
    told = [f"{what} is {there} instead of {wanted}" for what, there, wanted in found if there != wanted]
    return "; ".join(told + _limits(confined, launch))


def _limits(confined: Confinement, launch: Launch) -> list[str]:
    told, cpus, memory = [], launch.limits.cpus, launch.limits.memory_bytes
    there = confined.cpus
    same = there == cpus if there is None or cpus is None else abs(there - cpus) <= _CPUS
    if confined.told_cpus and not same:
        told.append(f"it may use {_number(there)} processors instead of {_number(cpus)}")
    bytes_there = confined.memory_bytes
    alike = bytes_there == memory if bytes_there is None or memory is None else 0 <= memory - bytes_there < _PAGE
    if confined.told_memory and not alike:
        told.append(f"it may use {_number(bytes_there)} bytes of memory instead of {_number(memory)}")
    return told


def _number(limit: float | None) -> str:
    return "any number of" if limit is None else f"{limit:g}" if isinstance(limit, float) else str(limit)
