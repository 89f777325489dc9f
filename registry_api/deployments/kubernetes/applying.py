# SPDX-License-Identifier: Apache-2.0
"""Applies the objects of one deployment: all of them, or none.

1. Each is read: one that is not ours, or is being deleted, stops everything.
2. Each is applied as a dry run. Admission, rights, quotas and conflicts with other field managers refuse here, and nothing
   has changed.
3. Each is applied. If one is refused after all, what is new is deleted, and of the others what we had applied before is
   applied again. Where that fails too, the error's ``details["left"]`` names them; applying again later makes all good.
4. What this release has and no longer wants (an autoscaler, for example) is deleted.

Nothing is ever forced: a field that another manager holds is told to whoever deploys.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from core.errors import Conflict, ErrorCode, FuroshikiError
from registry_api.deployments.kubernetes import naming
from registry_api.deployments.kubernetes.api import APPLY, Api, Call
from registry_api.deployments.kubernetes.fields import differences, owned
from registry_api.deployments.kubernetes.kinds import APPLIED, kind_of, thing
from registry_api.deployments.kubernetes.values import Difference, Document

_DRY: Final = {"dryRun": "All"}


class Applier:
    """Applies and deletes what carries this registry's labels, in one namespace.

    Args:
        api: The cluster.
        namespace: Where everything is.
        instance: Which registry this is.
    """

    def __init__(self, api: Api, *, namespace: str, instance: str) -> None:
        self._api = api
        self._namespace = namespace
        self._instance = instance

    def apply(self, release: str, wanted: Sequence[Document]) -> None:
        """Makes the release what is wanted.

        Raises:
            Conflict: ``STATE_001`` if an object is not ours or being deleted, or another manager holds a field.
            FuroshikiError: Whatever the cluster says.
        """
        before = [self._find(each) for each in wanted]
        for found in before:
            self._check(found, release)
        for each in wanted:
            self._put(each, dry=True)
        tried: list[tuple[Document, Document | None]] = []
        try:
            for each, found in zip(wanted, before, strict=True):
                tried.append((each, found))
                self._put(each)
        except FuroshikiError as error:
            left = [thing(each) for each, found in reversed(tried) if not self._undone(each, found, release)]
            if left:
                error.details["left"] = left
            raise
        names = {thing(each) for each in wanted}
        self.delete([each for each in self.existing(release) if thing(each) not in names])

    def drift(self, release: str, wanted: Sequence[Document]) -> list[Difference]:
        """What applying would change, as the cluster itself works it out. Changes nothing."""
        found: list[Difference] = []
        for each in wanted:
            live = self._find(each)
            if live is None:
                found.append(Difference(thing=thing(each), field="", wanted="present", found=""))
            else:
                found += differences(live, self._put(each, dry=True, force=True))
        names = {thing(each) for each in wanted}
        surplus = [thing(each) for each in self.existing(release) if thing(each) not in names]
        return [*found, *(Difference(thing=each, field="", wanted="", found="present") for each in surplus)]

    def existing(self, release: str | None = None) -> list[Document]:
        """Every object of ours, or of one release, last applied first; copies that somebody made are his."""
        selector = naming.owner_selector(self._instance, release)
        found: list[Document] = []
        for kind in reversed(APPLIED):
            listed = self._api.every(kind.path(self._namespace), f"list {kind.plural}", selector=selector)
            ours = [each for each in listed if naming.release_of(each)]
            found += [{"apiVersion": kind.version, "kind": kind.name, **each} for each in ours]
        return found

    def delete(self, found: Sequence[Document]) -> None:
        """Deletes exactly these objects, each after what it owns; one that is gone is no error."""
        for each in found:
            body = {
                "kind": "DeleteOptions",
                "apiVersion": "v1",
                "propagationPolicy": "Foreground",
                "preconditions": {"uid": each["metadata"]["uid"]},
            }
            path = kind_of(each).path(self._namespace, each["metadata"]["name"])
            self._api.find(Call(method="DELETE", path=path, asked=f"delete {thing(each)}", body=body))

    def _find(self, wanted: Document) -> Document | None:
        path = kind_of(wanted).path(self._namespace, wanted["metadata"]["name"])
        return self._api.find(Call(method="GET", path=path, asked=f"read {thing(wanted)}"))

    def _check(self, found: Document | None, release: str) -> None:
        if found is None:
            return
        if not naming.is_ours(found, self._instance, release):
            raise Conflict(
                ErrorCode.STATE_CONFLICT,
                f"{thing(found)} in namespace {self._namespace!r} exists and was not made by this registry. "
                "Remove it, or give the registry a namespace of its own.",
            )
        if "deletionTimestamp" in found["metadata"]:
            raise Conflict(
                ErrorCode.STATE_CONFLICT, f"{thing(found)} is still being deleted. Deploy again when it is gone."
            )

    def _put(self, wanted: Document, *, dry: bool = False, force: bool = False) -> Document:
        query = {"fieldManager": naming.MANAGER, "force": str(force).lower(), "fieldValidation": "Strict"}
        path = kind_of(wanted).path(self._namespace, wanted["metadata"]["name"])
        return self._api.ask(
            Call(
                method="PATCH",
                path=path,
                asked=f"apply {thing(wanted)}",
                query=query | (_DRY if dry else {}),
                body=wanted,
                content=APPLY,
            )
        )

    def _undone(self, wanted: Document, before: Document | None, release: str) -> bool:
        try:
            if before is None:
                made = self._find(wanted)
                self.delete([made] if made is not None and naming.is_ours(made, self._instance, release) else [])
            elif (mine := owned(before, naming.MANAGER)) is not None:
                self._put(mine)
        except FuroshikiError:
            return False
        return True
