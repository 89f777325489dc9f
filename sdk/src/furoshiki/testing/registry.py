# SPDX-License-Identifier: Apache-2.0
"""The fake's registry of models: uploads checked on arrival, versions signed and immutable, one stage each."""

from __future__ import annotations

import hashlib
from typing import Any

from furoshiki.testing import catalogue, deletion
from furoshiki.testing.clock import ManualClock
from furoshiki.testing.exchange import Answer, Call, Problem, json_answer, page
from furoshiki.testing.signing import FakeSigner

MOVES = {
    "DEVELOPMENT": ("STAGING", "DEPRECATED"),
    "STAGING": ("DEVELOPMENT", "PRODUCTION", "DEPRECATED"),
    "PRODUCTION": ("STAGING", "DEPRECATED"),
    "DEPRECATED": ("STAGING",),
}
CORRUPT = b"corrupt"  # a file that begins so is refused as no model


class FakeRegistry:
    """Models, uploads, versions, trust. Values are kept as the JSON they are shown as."""

    def __init__(self, tenant: str, clock: ManualClock) -> None:
        self.tenant = tenant
        self.signer = FakeSigner(tenant)
        self.blobs: dict[str, bytes] = {}  # by digest
        self.models: dict[str, dict[str, Any]] = {}
        self.versions: dict[str, list[dict[str, Any]]] = {}
        self.bundles: dict[tuple[str, int], dict[str, bytes]] = {}
        self.uploads: dict[str, dict[str, Any]] = {}
        self.histories: dict[str, list[dict[str, Any]]] = {}
        self.cards: dict[tuple[str, int | None], dict[str, Any]] = {}
        self._clock = clock

    def now(self) -> str:
        """The fake's time, RFC 3339."""
        return self._clock.now().isoformat().replace("+00:00", "Z")

    def handle(self, call: Call) -> Answer | None:
        """Answers one call; None if it is none of the registry's."""
        match call.segments[2:]:
            case ("whoami",):
                return json_answer(
                    {
                        "tenant": self.tenant,
                        "key_id": "test",
                        "name": "test",
                        "roles": ["tenant-admin"],
                        "actions": ["models:infer"],
                        "expires_at": None,
                    }
                )
            case ("trust",):
                return Answer(body=self.signer.policy())
            case ("models", *rest):
                return self._deletion(call, rest) or self._models(call, rest)
            case ("uploads", upload_id, *rest):
                return self._uploads(call, self._upload(upload_id), rest)
        return None

    def resolve(self, model: str, version: int | None) -> dict[str, Any]:
        """The version a reference means."""
        versions = self.versions[self._model(model)["name"]]
        there = [each["version"] for each in versions if each["deletion"] is None]
        number = version or self._model(model)["production_version"] or max(there, default=0)
        if number not in there:
            raise Problem(404, "MODEL_001", f"There is no version {number} of model {model!r}.")
        return versions[number - 1]

    def _deletion(self, call: Call, rest: list[str]) -> Answer | None:
        match call.method, rest:
            case "DELETE", [name]:
                return deletion.delete(call, self._model(name), self._clock)
            case "DELETE", [name, "versions", number]:
                return deletion.delete(call, self.resolve(name, int(number)), self._clock)
            case "POST", [name, "restore"]:
                return deletion.restore(call, self.models.get(name))
            case "POST", [name, "versions", number, "restore"]:
                numbered = {version["version"]: version for version in self.versions[self._model(name)["name"]]}
                return deletion.restore(call, numbered.get(int(number)))
        return None

    def _models(self, call: Call, rest: list[str]) -> Answer | None:
        match call.method, rest:
            case "POST", []:
                return json_answer(self._create(call.fields()), 201)
            case "GET", []:
                return page(deletion.listed(catalogue.found(self.models, self.versions, call), call), call)
            case _, [name, "versions", number, *what]:
                return self._version(call, self.resolve(name, int(number)), what)
            case _, [name, *what]:
                return self._one_model(call, self._model(name), what)
        return None

    def _one_model(self, call: Call, model: dict[str, Any], what: list[str]) -> Answer | None:
        name = model["name"]
        if (described := catalogue.described(call, what, model, self.cards)) is not None:
            return described
        match call.method, what:
            case "GET", ["history"]:
                return page(self.histories[name], call)
            case "GET", ["resolve"]:
                return json_answer(self.resolve(name, int(call.query.get("version", "0"))))
            case "POST", ["uploads"]:
                return json_answer(self._open_upload(name, call.fields()), 201)
            case "GET", ["versions"]:
                return page(deletion.listed(self.versions[name][::-1], call), call)
        return None

    def _version(self, call: Call, version: dict[str, Any], what: list[str]) -> Answer | None:
        bundle = self.bundles[(version["model"], version["version"])]
        if (described := catalogue.described(call, what, version, self.cards)) is not None:
            return described
        match call.method, what:
            case "PUT", ["stage"]:
                return json_answer(self._stage(version, call.fields()))
            case "GET", ["manifest"]:
                return Answer(body=bundle["manifest.json"])
            case "GET", ["signature"]:
                return Answer(body=bundle["model.sig"])
            case "GET", ["files", *parts] if "/".join(parts) in bundle:
                return Answer(body=bundle["/".join(parts)])
        return None

    def _uploads(self, call: Call, upload: dict[str, Any], rest: list[str]) -> Answer | None:
        match call.method, rest:
            case "GET", []:
                return json_answer(self._shown(upload))
            case "PUT", ["files", *parts]:
                return json_answer(self._receive(upload, "/".join(parts), call.body))
            case "POST", ["complete"]:
                return json_answer(self._complete(upload), 201)
        return None

    def _model(self, name: str) -> dict[str, Any]:
        if name not in self.models or self.models[name]["deletion"] is not None:
            raise Problem(404, "MODEL_001", f"There is no model {name!r}.")
        return self.models[name]

    def _upload(self, upload_id: str) -> dict[str, Any]:
        if upload_id not in self.uploads:
            raise Problem(404, "UPLOAD_001", f"There is no upload {upload_id!r}.")
        return self.uploads[upload_id]

    def _create(self, fields: dict[str, Any]) -> dict[str, Any]:
        name = fields["name"]
        if name in self.models:
            deleted = self.models[name]["deletion"] is not None
            raise Problem(409, "MODEL_005" if deleted else "MODEL_004", f"Model {name!r} exists already.")
        self.versions[name], self.histories[name] = [], []
        self.models[name] = {
            "tenant": self.tenant,
            "name": name,
            "description": fields.get("description", ""),
            "tags": fields.get("tags", []),
            "latest_version": None,
            "production_version": None,
            "created_at": self.now(),
            "updated_at": self.now(),
            "deletion": None,
        }
        return self.models[name]

    def _open_upload(self, model: str, fields: dict[str, Any]) -> dict[str, Any]:
        upload_id = f"upload-{len(self.uploads) + 1}"
        self.uploads[upload_id] = {**fields, "id": upload_id, "model": model, "state": "open", "version": None}
        return self._shown(self.uploads[upload_id])

    def _shown(self, upload: dict[str, Any]) -> dict[str, Any]:
        files = [{**file, "received": file["digest"] in self.blobs} for file in upload["files"]]
        return {key: upload[key] for key in ("id", "model", "state")} | {"files": files, "expires_at": None}

    def _receive(self, upload: dict[str, Any], path: str, data: bytes) -> dict[str, Any]:
        file = next((file for file in upload["files"] if file["path"] == path), None)
        if file is None:
            raise Problem(422, "VALID_002", f"The upload has no file {path!r}.")
        if len(data) != file["size"]:
            raise Problem(400, "VALID_008", f"{len(data)} bytes arrived; expected {file['size']}.")
        if "sha256:" + hashlib.sha256(data).hexdigest() != file["digest"]:
            raise Problem(422, "SIGN_004", f"What arrived for {path!r} does not have its digest.")
        self.blobs[file["digest"]] = data
        return {**file, "received": True}

    def _complete(self, upload: dict[str, Any]) -> dict[str, Any]:
        model = upload["model"]
        if upload["version"] is not None:
            done: dict[str, Any] = self.versions[model][upload["version"] - 1]
            return done
        missing = [file["path"] for file in upload["files"] if file["digest"] not in self.blobs]
        if missing:
            raise Problem(409, "UPLOAD_002", f"The upload lacks {missing[0]!r}.")
        files = {file["path"]: self.blobs[file["digest"]] for file in upload["files"]}
        if any(data.startswith(CORRUPT) for data in files.values()):
            raise Problem(422, "MODEL_003", "The runtime refuses the model: it is corrupt.")
        version = self._register(model, upload, files)
        upload |= {"version": version["version"], "state": "completed"}
        return version

    def _register(self, model: str, upload: dict[str, Any], files: dict[str, bytes]) -> dict[str, Any]:
        number = len(self.versions[model]) + 1
        bundle = self.signer.bundle(
            model, number, form=upload["format"], files=files, metadata=upload["metadata"], now=self._clock.now()
        )
        self.bundles[(model, number)] = bundle
        version = {
            "tenant": self.tenant,
            "model": model,
            "version": number,
            "stage": "DEVELOPMENT",
            "format": upload["format"],
            "digest": "sha256:" + hashlib.sha256(bundle["manifest.json"]).hexdigest(),
            "key_id": self.signer.key_id,
            "size": sum(map(len, files.values())),
            "files": upload["files"],
            "inputs": [{"name": "X", "datatype": "FP32", "shape": [-1, 4]}],
            "outputs": [{"name": "Y", "datatype": "FP32", "shape": [-1]}],
            "metadata": upload["metadata"],
            "created_at": self.now(),
            "created_by": "test",
            "variants": [],
            "description": "",
            "tags": [],
            "deletion": None,
        }
        self.versions[model].append(version)
        self.models[model] |= {"latest_version": number, "updated_at": self.now()}
        return version

    def _stage(self, version: dict[str, Any], fields: dict[str, Any]) -> dict[str, Any]:
        target, model = fields["stage"], self.models[version["model"]]
        if target not in MOVES:
            raise Problem(422, "VALID_002", f"{target!r} is no stage; expected one of {', '.join(MOVES)}.")
        if target not in MOVES[version["stage"]]:
            raise Problem(409, "STATE_001", f"A version in {version['stage']} cannot go to {target}.")
        change = {"version": version["version"], "from": version["stage"], "to": target, "reason": fields["reason"]}
        self.histories[model["name"]].insert(0, {**change, "actor": "test", "actor_key": "test", "at": self.now()})
        if target == "PRODUCTION":
            model["production_version"] = version["version"]
        elif model["production_version"] == version["version"]:
            model["production_version"] = None
        version["stage"] = target
        return version
