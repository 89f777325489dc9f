# SPDX-License-Identifier: Apache-2.0
"""The registry-backed catalog with real signed bundles and a registry in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

import numpy as np
import onnx
import pytest
import pytest_asyncio
from onnx import TensorProto, helper
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

import furoshiki
from artifacts.coordination.interface import Turn
from artifacts.digest import digest_bytes
from artifacts.keys.file import FileTrust
from artifacts.signing.ed25519 import Ed25519Signer
from artifacts.signing.policy import TrustPolicy
from artifacts.testing import Bundle, make_bundle, refused, trust
from artifacts.tuning import Chosen, Point, Tuning, sign_tuning
from core import questions
from core.clock import ManualClock, SystemClock
from core.deprecation import Notice
from core.errors import ErrorCode, FuroshikiError, InvalidRequest, ModelError, Overloaded, Unavailable
from core.tensors import ANY, DType, Signature, TensorSpec
from runners.batching.policy import BatchLimits
from runners.bundles import ModelLoader
from runners.cache import LoadedModel, ModelCache
from runners.interface import RunnerOptions
from runners.loading import backend_of
from runners.testing import request_of
from runners.tuning.advice import Advice
from runners.tuning.device import fingerprint_here, this_device
from services.dataplane.catalog import listing, names
from services.dataplane.catalog.registry import RegistryCatalog
from services.dataplane.meters import Meters
from services.dataplane.registry import RegistryGateway
from services.dataplane.trust.live import LiveTrust
from services.dataplane.trust.seen import SeenPolicies
from services.edge.context import Principal

FRESH, GRACE = 5.0, 300.0
ACME, GLOBEX = (Principal(tenant=tenant, key_id=f"key-{tenant}") for tenant in ("acme", "globex"))
SIGNATURE = Signature(
    inputs=(TensorSpec(name="x", dtype=DType.FP32, shape=(ANY, 2)),),
    outputs=(TensorSpec(name="y", dtype=DType.FP32, shape=(ANY, 2)),),
)
DOWN = Unavailable(ErrorCode.STORE_UNAVAILABLE, "Down.", retry_after=1.0)


def times(factor: float) -> bytes:
    """``y = factor * x`` as an ONNX file."""
    weight = onnx.numpy_helper.from_array(np.array(factor, dtype=np.float32), "w")
    tensors = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 2]) for name in "xy"]
    graph = helper.make_graph(
        [helper.make_node("Mul", ["x", "w"], ["y"])], "times", tensors[:1], tensors[1:], initializer=[weight]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    return bytes(model.SerializeToString())


@dataclass(kw_only=True)
class MemoryRegistry:
    """A registry in memory, as the gateway shows it: versions by tenant and model, the newest is what a name means."""

    bundles: dict[tuple[str, str], dict[int, Bundle]] = field(default_factory=dict)
    named: dict[str, str] = field(default_factory=dict)  # replaces a digest in what resolve tells
    aliases: dict[str, int] = field(default_factory=dict)
    deprecated: dict[int, furoshiki.Deprecation] = field(default_factory=dict)
    asked: list[tuple[str, str, int | str | None]] = field(default_factory=list)
    downloads: list[tuple[str, str, int]] = field(default_factory=list)
    tunings: dict[tuple[str, str, int], bytes] = field(default_factory=dict)
    chosen: dict[int, Bundle] = field(default_factory=dict)  # the variant to serve instead of what was uploaded
    away: FuroshikiError | None = None
    open: asyncio.Event = field(default_factory=asyncio.Event)
    line: asyncio.Event = field(default_factory=asyncio.Event)  # downloads wait for it
    busy: int = 0
    busiest: int = 0
    folders: list[Path] = field(default_factory=list)
    closed: bool = False

    def put(self, bundle: Bundle) -> Bundle:
        manifest = bundle.manifest
        self.bundles.setdefault((manifest.tenant, manifest.model), {})[manifest.version] = bundle
        return bundle

    async def resolve(self, tenant: str, model: str, version: int | str | None) -> furoshiki.Version:
        self.asked.append((tenant, model, version))
        await self.open.wait()
        if self.away is not None:
            raise self.away
        versions = self.bundles.get((tenant, model), {})
        number = max(versions, default=0) if version is None else version
        number = self.aliases.get(number, 0) if isinstance(number, str) else number
        if number not in versions:
            raise ModelError(ErrorCode.MODEL_NOT_FOUND, "The registry knows no such model.")
        manifest = versions[number].manifest
        return furoshiki.Version(
            tenant=tenant,
            model=model,
            version=number,
            stage="DEVELOPMENT",
            format="onnx",
            digest=self.named.get(manifest.digest, manifest.digest),
            key_id=versions[number].signer.key_id,
            size=manifest.size,
            created_at=datetime.now(UTC),
            deprecation=self.deprecated.get(number),
        )

    async def form(self, tenant: str, version: furoshiki.Version) -> furoshiki.Variant | None:
        assert tenant == version.tenant
        bundle = self.chosen.get(version.version)
        if bundle is None:
            return None
        manifest = bundle.manifest
        return furoshiki.Variant(
            name=manifest.variant,
            format=manifest.format,
            precision="fp16",
            device="cpu",
            digest=manifest.digest,
            key_id=bundle.signer.key_id,
            size=manifest.size,
            source=False,
        )

    async def models(self, tenant: str) -> list[furoshiki.Model]:
        self.asked.append((tenant, "*", None))
        if self.away is not None:
            raise self.away
        now = datetime.now(UTC)
        return [
            furoshiki.Model(
                tenant=owner, name=name, latest_version=max(versions, default=None), created_at=now, updated_at=now
            )
            for (owner, name), versions in self.bundles.items()
            if owner == tenant
        ]

    async def versions(self, tenant: str, model: str) -> list[int]:
        self.asked.append((tenant, model, None))
        if self.away is not None:
            raise self.away
        if (tenant, model) not in self.bundles:
            raise ModelError(ErrorCode.MODEL_NOT_FOUND, "The registry knows no such model.")
        return sorted(self.bundles[tenant, model], reverse=True)

    async def download(
        self, tenant: str, model: str, version: int, folder: Path, *, variant: str | None = None, digest: str = ""
    ) -> None:
        self.downloads.append((tenant, model, version))
        self.folders.append(folder)
        self.busy += 1
        self.busiest = max(self.busiest, self.busy)
        await self.line.wait()
        self.busy -= 1
        if self.away is not None:
            raise self.away
        bundle = self.bundles[tenant, model][version] if variant is None else self.chosen[version]
        assert variant is None or (bundle.manifest.variant, bundle.manifest.digest) == (variant, digest)
        bundle.write(folder)

    async def tuning(
        self, tenant: str, model: str, version: int, *, device: str, variant: str | None = None
    ) -> bytes | None:
        assert variant is None or variant == self.chosen[version].manifest.variant
        assert device == fingerprint_here()
        return self.tunings.get((tenant, model, version))

    async def close(self) -> None:
        self.closed = True


@dataclass(kw_only=True)
class Setting:
    """A catalog and everything around it."""

    catalog: RegistryCatalog
    remote: MemoryRegistry
    clock: ManualClock
    cache: ModelCache
    trusted: Path
    signers: Mapping[str, Ed25519Signer]

    def bundle(self, factor: float = 2, *, tenant: str = "acme", version: int = 1, model: str = "digits") -> Bundle:
        """Registers a signed version."""
        files = {"model.onnx": times(factor)}
        return self.remote.put(
            make_bundle(
                files, signer=self.signers[tenant], signature=SIGNATURE, tenant=tenant, model=model, version=version
            )
        )

    def trust(self, policy: TrustPolicy) -> None:
        """Writes a tenant's policy."""
        (self.trusted / f"{policy.tenant}.json").write_bytes(policy.to_bytes())

    async def infer(self, principal: Principal = ACME, model: str = "digits", version: str | None = None) -> float:
        """What the model makes of 1."""
        loaded = await self.catalog.acquire(principal, model, version)
        try:
            result = await loaded.handle.infer(request_of({"x": np.ones((1, 2), dtype=np.float32)}))
            return float(result["y"][0, 0])
        finally:
            self.catalog.release(loaded)


@pytest_asyncio.fixture
async def setting(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Setting]:
    remote, clock, meters = MemoryRegistry(), ManualClock(), Meters()
    cache = ModelCache(capacity=2**20, on_close=meters.forget)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    remote.open.set()
    remote.line.set()
    catalog = RegistryCatalog(
        cast("RegistryGateway", remote),
        trust=LiveTrust(FileTrust(tmp_path), SeenPolicies(tmp_path / "seen"), clock=clock),
        loader=ModelLoader(clock=SystemClock(), options=RunnerOptions(), limits=BatchLimits(), advice=Advice()),
        cache=cache,
        clock=clock,
        fresh_s=FRESH,
        grace_s=GRACE,
        loads=2,
        scratch=scratch,
        refuse_after_sunset=getattr(request, "param", False),
    )
    signers = {tenant: Ed25519Signer.generate() for tenant in ("acme", "globex")}
    made = Setting(catalog=catalog, remote=remote, clock=clock, cache=cache, trusted=tmp_path, signers=signers)
    for tenant, signer in signers.items():
        made.trust(trust(signer, tenant=tenant))
    yield made
    await catalog.close()


async def test_the_chosen_variant_is_served_and_held_to_its_name(setting: Setting) -> None:
    """What the registry chose is downloaded, verified as that variant and used; another variant's bundle is refused."""
    setting.bundle(2)
    variant = make_bundle(
        {"model.onnx": times(3)},
        signer=setting.signers["acme"],
        signature=SIGNATURE,
        tenant="acme",
        model="digits",
        version=1,
        variant="onnx-fp16/cpu",
    )
    setting.remote.chosen[1] = variant
    assert await setting.infer() == 3
    (loaded,) = setting.cache.models
    assert loaded.digest == variant.manifest.digest


async def test_a_model_is_found_verified_and_loaded_once(setting: Setting) -> None:
    """The first request loads; the next within fresh_s asks nobody; later only the name is asked again."""
    bundle = setting.bundle(2)
    assert await setting.infer() == 2
    assert await setting.infer() == 2
    setting.clock.advance(FRESH)
    assert await setting.infer() == 2
    assert setting.remote.asked == [("acme", "digits", None)] * 2
    assert setting.remote.downloads == [("acme", "digits", 1)]
    assert [(m.digest, m.key_id) for m in setting.cache.models] == [(bundle.manifest.digest, bundle.signer.key_id)]


async def test_a_tuning_of_this_device_comes_with_the_model(setting: Setting) -> None:
    """The registry's signed tuning is applied to what is loaded; a stranger's is not, but the model is served."""
    bundle = setting.bundle(2)
    device = this_device(backend_of("onnx"))
    point = Point(instances=1, threads=2, rows=8, rows_per_s=1.0, p50_ms=1.0)
    tuning = Tuning(device=device, chosen=Chosen(instances=1, threads=2, max_rows=8), measurements=(point,))
    name, digest = ("acme", "digits", 1), bundle.manifest.digest
    told = []
    for signer in (setting.signers["globex"], setting.signers["acme"]):
        setting.remote.tunings[name] = sign_tuning(tuning, variant="v", digest=digest, signer=signer)
        with capture_logs() as events:
            assert await setting.infer() == 2
        told += [(e["event"], e.get("code"), e.get("max_rows")) for e in events if e["event"].startswith("tuning_")]
        setting.cache.evict(("acme", digest))
    assert told == [("tuning_ignored", "SIGN_003", None), ("tuning_used", None, 8)]


async def test_a_new_version_is_served_within_fresh_s(setting: Setting) -> None:
    """What a name means follows the registry; an exact version stays."""
    setting.bundle(2, version=1)
    assert await setting.infer() == 2
    setting.bundle(3, version=2)
    setting.clock.advance(FRESH)
    assert await setting.infer() == 3
    assert await setting.infer(version="1") == 2


async def test_absence_is_remembered(setting: Setting) -> None:
    """A model that does not exist is asked about once per fresh_s, and found when it was made."""
    for _ in range(10):
        with refused(ErrorCode.MODEL_NOT_FOUND, "'digits'"):
            await setting.infer()
    assert len(setting.remote.asked) == 1
    setting.bundle(2)
    setting.clock.advance(FRESH)
    assert await setting.infer() == 2


@pytest.mark.parametrize("version", ["0", "-1", "01", "Latest", "1.0", "", "9" * 5000, "١"])
async def test_illegal_versions_are_not_found(setting: Setting, version: str) -> None:
    """What is no version number is nobody's version; the registry is not asked and nothing is remembered."""
    setting.bundle(2)
    with refused(ErrorCode.MODEL_NOT_FOUND):
        await setting.infer(version=version)
    assert setting.remote.asked == []
    assert not setting.catalog._names._known


@pytest.mark.parametrize("model", ["", "..", "../digits", "a/b", "Digits", "a\n", "x" * 100_000, "digits@1", "а"])
async def test_illegal_names_are_not_found(setting: Setting, model: str) -> None:
    """An illegal name never reaches the registry and is not kept in memory, however long it is."""
    with pytest.raises(ModelError) as caught:
        await setting.infer(model=model)
    assert caught.value.code is ErrorCode.MODEL_NOT_FOUND
    assert len(caught.value.message) < 300
    assert setting.remote.asked == []
    assert not setting.catalog._names._known


async def test_tenants_are_apart(setting: Setting) -> None:
    """The same name means each tenant's own model, and one tenant's model is absent for the other."""
    setting.bundle(2, tenant="acme")
    setting.bundle(5, tenant="globex")
    setting.bundle(7, tenant="globex", model="secret")
    assert [await setting.infer(who) for who in (ACME, GLOBEX)] == [2, 5]
    with refused(ErrorCode.MODEL_NOT_FOUND):
        await setting.infer(ACME, "secret")
    assert await setting.infer(GLOBEX, "secret") == 7
    assert ("acme", "secret", 1) not in setting.remote.downloads


async def test_another_tenants_bundle_is_refused(setting: Setting) -> None:
    """If the registry hands out a bundle of another tenant, its signature does not help it."""
    foreign = setting.bundle(5, tenant="globex")
    setting.remote.bundles["acme", "digits"] = {1: foreign}
    with refused(ErrorCode.SIGNER_UNTRUSTED):
        await setting.infer(ACME)


async def test_another_bundle_than_was_named_is_refused(setting: Setting) -> None:
    """The registry names one digest and sends another, validly signed: refused, not cached under the name of the first."""
    bundle = setting.bundle(2)
    setting.remote.named[bundle.manifest.digest] = digest_bytes(b"another")
    with refused(ErrorCode.SUBJECT_MISMATCH, bundle.manifest.digest):
        await setting.infer()
    assert setting.cache.models == []


async def test_a_damaged_download_is_refused_and_not_remembered(setting: Setting) -> None:
    """A flipped byte is SIGN_004 for this request; when the registry is repaired the next request succeeds."""
    bundle = setting.bundle(2)
    good = bundle.files["model.onnx"]
    bundle.files["model.onnx"] = good[:-1] + bytes([good[-1] ^ 1])
    with refused(ErrorCode.DIGEST_MISMATCH, "model.onnx"):
        await setting.infer()
    bundle.files["model.onnx"] = good
    assert await setting.infer() == 2


async def test_known_models_survive_an_absent_registry(setting: Setting) -> None:
    """While the registry is away known names work for grace_s, unknown ones get a retryable error."""
    setting.bundle(2)
    await setting.infer()
    setting.remote.away = DOWN
    setting.clock.advance(FRESH + GRACE)
    assert await setting.infer() == 2
    with refused(ErrorCode.STORE_UNAVAILABLE):
        await setting.infer(model="other")


async def test_grace_ends(setting: Setting) -> None:
    """However often a name is used meanwhile, grace counts from the registry's last answer."""
    setting.bundle(2)
    await setting.infer()
    setting.remote.away = DOWN
    for _ in range(int((FRESH + GRACE) / 10)):
        setting.clock.advance(10)
        await setting.infer()
    setting.clock.advance(10)
    with refused(ErrorCode.STORE_UNAVAILABLE):
        await setting.infer()


async def test_an_absent_registry_is_not_asked_for_each_request(setting: Setting) -> None:
    """A registry that hangs costs one request per fresh_s its wait, not every request."""
    setting.bundle(2)
    await setting.infer()
    setting.remote.away = DOWN
    setting.clock.advance(FRESH)
    for _ in range(10):
        await setting.infer()
    assert len(setting.remote.asked) == 2


@pytest.mark.parametrize("what", ["manifest", "file", "key", "untrusted"])
@pytest.mark.parametrize("away", [False, True], ids=["registry-up", "registry-down"])
async def test_what_is_revoked_leaves_the_cache(setting: Setting, what: str, away: bool) -> None:
    """Within fresh_s of a revocation the loaded model is closed and not served again, whatever of it was revoked."""
    bundle = setting.bundle(2)
    assert await setting.infer() == 2
    policy = trust(bundle.signer)
    entry = bundle.manifest.files[0]
    policy = {
        "manifest": replace(policy, revoked_digests=frozenset({bundle.manifest.digest})),
        "file": replace(policy, revoked_digests=frozenset({entry.digest})),
        "key": replace(policy, revoked_keys=frozenset({bundle.signer.key_id})),
        "untrusted": trust(Ed25519Signer.generate()),
    }[what]
    setting.trust(policy)
    setting.remote.away = DOWN if away else None
    assert await setting.infer() == 2
    setting.clock.advance(FRESH)
    with pytest.raises(FuroshikiError) as caught:
        await setting.infer()
    if not away:
        assert caught.value.code is (ErrorCode.SIGNER_UNTRUSTED if what == "untrusted" else ErrorCode.REVOKED)
    assert setting.cache.models == []


async def test_another_revocation_disturbs_nobody(setting: Setting) -> None:
    """A policy that changes elsewhere leaves loaded models where they are."""
    bundle = setting.bundle(2)
    await setting.infer()
    other = trust(bundle.signer, Ed25519Signer.generate())
    setting.trust(replace(other, revoked_digests=frozenset({digest_bytes(b"other")})))
    setting.clock.advance(FRESH)
    assert await setting.infer() == 2
    assert len(setting.remote.downloads) == 1


async def test_one_question_and_one_load_at_a_time(setting: Setting) -> None:
    """Twenty first requests: one question, one download; one that goes away disturbs nobody."""
    setting.bundle(2)
    setting.remote.open.clear()
    tasks = [asyncio.ensure_future(setting.catalog.acquire(ACME, "digits", None)) for _ in range(20)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    tasks[0].cancel()
    setting.remote.open.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    models = [result for result in results if isinstance(result, LoadedModel)]
    assert len(models) == 19
    assert len({id(model) for model in models}) == 1
    assert (len(setting.remote.asked), len(setting.remote.downloads)) == (1, 1)
    assert models[0].leases == 19
    for model in models:
        setting.catalog.release(model)


async def test_what_is_remembered_is_bounded(setting: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the bound the name that was not looked up for longest is forgotten."""
    monkeypatch.setattr(names, "_MOST_NAMES", 3)
    for n in range(5):
        with refused(ErrorCode.MODEL_NOT_FOUND):
            await setting.infer(model=f"m{n}")
    assert [name[1] for name in setting.catalog._names._known] == ["m2", "m3", "m4"]


async def test_questions_under_way_are_bounded(setting: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the bound another name gets QUEUE_001 at once; the same name joins the question under way."""
    monkeypatch.setattr(questions, "MOST_QUESTIONS", 2)
    setting.remote.open.clear()
    waiting = [asyncio.ensure_future(setting.infer(model=name)) for name in ("a", "b", "a")]
    await asyncio.sleep(0)
    with pytest.raises(Overloaded) as caught:
        await setting.infer(model="c")
    assert (caught.value.code, caught.value.retry_after) == (ErrorCode.QUEUE_FULL, 1.0)
    setting.remote.open.set()
    answers = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(answer) for answer in answers] == [ModelError] * 3
    assert len(setting.remote.asked) == 2


async def test_few_loads_at_a_time(setting: Setting) -> None:
    """However many models are asked for, two are fetched at once; in the end each is served."""
    for n in range(5):
        setting.bundle(n, model=f"m{n}")
    setting.remote.line.clear()
    waiting = [asyncio.ensure_future(setting.infer(model=f"m{n}")) for n in range(5)]
    async with asyncio.timeout(5):
        while setting.remote.busy < 2:
            await asyncio.sleep(0.001)
    setting.remote.line.set()
    assert await asyncio.gather(*waiting) == [0, 1, 2, 3, 4]
    assert setting.remote.busiest == 2


async def test_a_model_that_cannot_fit_is_not_fetched(setting: Setting) -> None:
    """A version larger than the whole cache is VALID_003 with its size and the setting that decides, before any download."""
    size = setting.bundle(2).manifest.size
    setting.cache.capacity = size - 1
    for _ in range(2):
        with pytest.raises(InvalidRequest, match=rf"has {size} bytes.*FUROSHIKI_CACHE__BYTES") as caught:
            await setting.infer()
        assert caught.value.code is ErrorCode.TOO_LARGE
    assert setting.remote.downloads == []
    setting.cache.capacity = size
    assert await setting.infer() == 2


async def test_nothing_of_a_download_stays(setting: Setting) -> None:
    """A download lies in the scratch folder and is gone after the load, whether it succeeded or failed."""
    setting.bundle(2)
    bad = setting.bundle(3, model="bad")
    bad.files["model.onnx"] = b"damaged"
    await setting.infer()
    with refused(ErrorCode.DIGEST_MISMATCH):
        await setting.infer(model="bad")
    scratch = setting.trusted / "scratch"
    assert [folder.parent.parent for folder in setting.remote.folders] == [scratch] * 2
    async with asyncio.timeout(5):
        while any(scratch.iterdir()):
            await asyncio.sleep(0.001)


def info(bundle: Bundle) -> float | None:
    """``furoshiki_model_info`` of a bundle."""
    manifest = bundle.manifest
    labels = {
        "tenant": manifest.tenant,
        "model": manifest.model,
        "version": str(manifest.version),
        "digest": manifest.digest,
        "key_id": bundle.signer.key_id,
        "runner": "onnx-cpu",
    }
    return REGISTRY.get_sample_value("furoshiki_model_info", labels)


async def test_model_info_tells_what_is_loaded(setting: Setting) -> None:
    """1 while the model is loaded, a copy that is still in use after a reload included; 0 when the last copy has gone."""
    bundle = setting.bundle(2)
    old = await setting.catalog.acquire(ACME, "digits", None)
    assert info(bundle) == 1
    setting.cache.evict(("acme", bundle.manifest.digest))
    new = await setting.catalog.acquire(ACME, "digits", None)
    assert new is not old
    setting.catalog.release(old)
    assert info(bundle) == 1
    setting.catalog.release(new)
    setting.cache.evict(("acme", bundle.manifest.digest))
    assert info(bundle) == 0


async def test_a_refused_load_is_not_in_model_info(setting: Setting) -> None:
    """A bundle that is not the one the registry had named was loaded for nothing, and is gone."""
    bundle = setting.bundle(2)
    setting.remote.named[bundle.manifest.digest] = digest_bytes(b"another")
    with refused(ErrorCode.SUBJECT_MISMATCH):
        await setting.infer()
    assert info(bundle) == 0


async def test_close_ends_everything(setting: Setting) -> None:
    """After close the catalog is not ready, its models and connections are closed."""
    setting.bundle(2)
    await setting.infer()
    assert await setting.catalog.ready()
    await setting.catalog.close()
    assert (await setting.catalog.ready(), setting.cache.models, setting.remote.closed) == (False, [], True)


async def test_the_index(setting: Setting) -> None:
    """Each model with the version its name means, what is loaded besides, and for everybody only its own."""
    setting.bundle(2, version=1)
    setting.bundle(3, version=2)
    setting.bundle(5, model="wine")
    setting.bundle(7, tenant="globex", model="secret")
    setting.remote.bundles["acme", "empty"] = {}
    await setting.infer(version="1")
    states = [(s.name, s.version, s.state, s.reason) for s in await setting.catalog.index(ACME)]
    on_demand = "not loaded; the first request loads it"
    assert states == [
        ("digits", "1", "READY", ""),
        ("digits", "2", "UNAVAILABLE", on_demand),
        ("empty", "", "UNAVAILABLE", "no version is registered"),
        ("wine", "1", "UNAVAILABLE", on_demand),
    ]
    assert [s.name for s in await setting.catalog.index(GLOBEX)] == ["secret"]


async def test_the_index_while_loading(setting: Setting) -> None:
    """What is being fetched is LOADING."""
    setting.bundle(2)
    setting.remote.line.clear()
    loading = asyncio.ensure_future(setting.catalog.load(ACME, "digits"))
    while not setting.remote.downloads:
        await asyncio.sleep(0)
    assert [s.state for s in await setting.catalog.index(ACME)] == ["LOADING"]
    setting.remote.line.set()
    await loading
    assert [s.state for s in await setting.catalog.index(ACME)] == ["READY"]


async def test_load_and_unload(setting: Setting) -> None:
    """Load warms the cache, unload empties it of every version, and a request loads again."""
    setting.bundle(2, version=1)
    setting.bundle(3, version=2)
    setting.bundle(5, tenant="globex")
    await setting.infer(GLOBEX)
    await setting.infer(version="1")
    await setting.catalog.load(ACME, "digits")
    await setting.catalog.load(ACME, "digits")
    assert [m.version for m in setting.catalog.loaded(ACME)] == ["1", "2"]
    await setting.catalog.unload(ACME, "digits")
    assert setting.catalog.loaded(ACME) == []
    assert len(setting.catalog.loaded(GLOBEX)) == 1
    await setting.catalog.unload(ACME, "digits")
    assert await setting.infer() == 3


async def test_unload_spares_requests_under_way(setting: Setting) -> None:
    """A leased model that is unloaded is closed with its last lease."""
    setting.bundle(2)
    leased = await setting.catalog.acquire(ACME, "digits", None)
    await setting.catalog.unload(ACME, "digits")
    result = await leased.handle.infer(request_of({"x": np.ones((1, 2), dtype=np.float32)}))
    assert result["y"].tolist() == [[2, 2]]
    setting.catalog.release(leased)
    with pytest.raises(Unavailable):
        await leased.handle.infer(request_of({"x": np.ones((1, 2), dtype=np.float32)}))


@pytest.mark.parametrize("model", ["other", "../digits", "secret"])
async def test_changing_what_is_not_there(setting: Setting, model: str) -> None:
    """What the tenant does not have is neither loaded, unloaded nor counted, whoever else has it."""
    setting.bundle(7, tenant="globex", model="secret")
    for change in (setting.catalog.load, setting.catalog.unload, setting.catalog.versions):
        with refused(ErrorCode.MODEL_NOT_FOUND):
            await change(ACME, model)


async def test_versions_and_their_names(setting: Setting) -> None:
    """Versions come oldest first and are asked for once per fresh_s; the name means the newest."""
    for version in (1, 2, 10):
        setting.bundle(version, version=version)
    for _ in range(5):
        assert await setting.catalog.versions(ACME, "digits") == ["1", "2", "10"]
    assert len(setting.remote.asked) == 1
    setting.bundle(3, version=11)
    setting.clock.advance(FRESH)
    assert (await setting.catalog.versions(ACME, "digits"))[-1] == "11"
    assert [await setting.catalog.resolve(ACME, "digits", v) for v in (None, "2")] == ["11", "2"]


async def test_listing_without_the_registry(setting: Setting) -> None:
    """While the registry is away, what is remembered is listed, then the loaded versions; else the error is retryable."""
    setting.bundle(2)
    await setting.catalog.index(ACME)
    await setting.infer()
    setting.remote.away = DOWN
    assert len(await setting.catalog.index(ACME)) == 1
    setting.clock.advance(FRESH)
    assert await setting.catalog.versions(ACME, "digits") == ["1"]
    for ask in (setting.catalog.index(ACME), setting.catalog.versions(ACME, "wine")):
        with refused(ErrorCode.STORE_UNAVAILABLE):
            await ask


async def test_listings_are_bounded(setting: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many models are listed, a bounded number of answers is remembered."""
    monkeypatch.setattr(listing, "_MOST_REMEMBERED", 3)
    for number in range(10):
        setting.bundle(2, model=f"m{number}")
        await setting.catalog.versions(ACME, f"m{number}")
    assert len(setting.catalog._listing._known) == 3


@pytest.mark.parametrize("tenant", ["acme", "*"])
async def test_what_a_name_means_is_forgotten_with_the_news(setting: Setting, tenant: str) -> None:
    """The next request looks, in a listing, too; without news nobody would for fresh_s."""
    setting.bundle(2, version=1)
    assert await setting.infer() == 2
    assert await setting.catalog.versions(ACME, "digits") == ["1"]
    setting.bundle(3, version=2)
    assert await setting.infer() == 2
    setting.catalog.forget(tenant)
    assert await setting.infer() == 3
    assert await setting.catalog.versions(ACME, "digits") == ["1", "2"]


async def test_a_deleted_version_is_served_no_more_from_the_news_on(setting: Setting) -> None:
    """Although it is loaded: by its number it is MODEL_001, by the name the next one answers, and restored it is served."""
    setting.bundle(2, version=1)
    deleted = setting.bundle(3, version=2)
    assert (await setting.infer(), await setting.infer(version="2")) == (3, 3)
    del setting.remote.bundles["acme", "digits"][2]
    setting.catalog.forget("acme")
    assert setting.catalog.lease(ACME, "digits", "2") is None
    with pytest.raises(ModelError, match="MODEL_001"):
        await setting.infer(version="2")
    assert await setting.infer() == 2
    setting.remote.put(deleted)
    setting.catalog.forget("acme")
    assert (await setting.infer(), await setting.infer(version="2")) == (3, 3)


async def test_news_of_one_tenant_are_none_of_another(setting: Setting) -> None:
    """What others do costs a tenant no question."""
    setting.bundle(2)
    await setting.infer()
    setting.catalog.forget("globex")
    await setting.infer()
    assert setting.remote.asked == [("acme", "digits", None)]


async def test_an_answer_from_before_the_news_is_not_remembered(setting: Setting) -> None:
    """A change that is told while the registry is being asked: that answer may be of before, so the next request asks."""
    setting.bundle(2, version=1)
    setting.remote.open.clear()
    asking = asyncio.create_task(setting.infer())
    while not setting.remote.asked:
        await asyncio.sleep(0)
    setting.catalog.forget("acme")
    setting.remote.open.set()
    assert await asking == 2
    setting.bundle(3, version=2)
    assert await setting.infer() == 3


async def test_news_do_not_take_what_is_known_while_the_registry_is_away(setting: Setting) -> None:
    """What a name meant stays in use for grace_s."""
    setting.bundle(2)
    await setting.infer()
    setting.remote.away = DOWN
    setting.catalog.forget("acme")
    assert await setting.infer() == 2


class OneTurn:
    """Turns that one host has at a time."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.lock = asyncio.Lock()

    @asynccontextmanager
    async def take(self, name: str, *, among: int, wait_s: float) -> AsyncIterator[Turn]:
        self.names.append(f"{name} among {among}")
        async with self.lock:
            yield Turn(1)

    @asynccontextmanager
    async def try_take(self, name: str) -> AsyncIterator[Turn | None]:
        yield None


async def test_a_model_is_fetched_when_it_is_this_hosts_turn(setting: Setting) -> None:
    """Turns are taken by digest; while another host has it, nothing is downloaded, and a loaded model needs none."""
    bundle, turns = setting.bundle(2), OneTurn()
    setting.catalog._fetcher._turns = turns
    setting.catalog._fetcher._hosts = 3
    await turns.lock.acquire()
    asking = asyncio.create_task(setting.infer())
    while not turns.names:
        await asyncio.sleep(0)
    assert setting.remote.downloads == []
    turns.lock.release()
    assert await asking == 2
    assert await setting.infer() == 2
    assert turns.names == [f"load:acme:{bundle.manifest.digest} among 3"]


async def test_an_alias_is_a_version(setting: Setting) -> None:
    """It is followed within fresh_s; one that does not exist is no version."""
    setting.bundle(2, version=1)
    setting.bundle(3, version=2)
    setting.remote.aliases["champion"] = 1
    assert await setting.infer(version="champion") == 2
    setting.remote.aliases["champion"] = 2
    setting.clock.advance(FRESH)
    assert await setting.infer(version="champion") == 3
    with refused(ErrorCode.MODEL_NOT_FOUND):
        await setting.infer(version="challenger")


async def test_a_deprecated_version_carries_a_notice_while_it_is_deprecated(setting: Setting) -> None:
    """From the first answer on, whether it was loaded before or not; it goes when the deprecation is taken back."""
    setting.bundle(2)
    since = setting.clock.now()
    for deprecation in (None, furoshiki.Deprecation(since=since), None):
        setting.remote.deprecated = {} if deprecation is None else {1: deprecation}
        setting.clock.advance(FRESH)
        loaded = await setting.catalog.acquire(ACME, "digits", None)
        setting.catalog.release(loaded)
        assert loaded.notice == (None if deprecation is None else Notice(since=since))


@pytest.mark.parametrize("setting", [True, False], indirect=True)
async def test_after_its_sunset_a_version_is_refused_only_where_a_setting_says_so(
    setting: Setting, request: pytest.FixtureRequest
) -> None:
    """At the very moment, also for a model that is loaded and a name that is fresh."""
    setting.bundle(2)
    sunset = setting.clock.now() + timedelta(seconds=FRESH / 2)
    setting.remote.deprecated[1] = furoshiki.Deprecation(since=setting.clock.now(), sunset=sunset)
    assert await setting.infer() == 2
    setting.clock.advance(FRESH / 2)
    if request.node.callspec.params["setting"]:
        assert setting.catalog.lease(ACME, "digits", None) is None
        with refused(ErrorCode.MODEL_NOT_FOUND, "not served any more"):
            await setting.infer()
    else:
        assert await setting.infer() == 2
