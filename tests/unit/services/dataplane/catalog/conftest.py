# SPDX-License-Identifier: Apache-2.0
"""A registry in memory with real signed bundles, and a catalog that asks it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import numpy as np
import onnx
import pytest
import pytest_asyncio
from onnx import TensorProto, helper

import furoshiki
from artifacts.keys.file import FileTrust
from artifacts.signing.ed25519 import Ed25519Signer
from artifacts.signing.policy import TrustPolicy
from artifacts.testing import Bundle, make_bundle, trust
from core.clock import ManualClock, SystemClock
from core.errors import ErrorCode, FuroshikiError, ModelError, Unavailable
from core.tensors import ANY, DType, Signature, TensorSpec
from runners.batching.policy import BatchLimits
from runners.bundles import ModelLoader
from runners.cache import ModelCache
from runners.interface import RunnerOptions
from runners.testing import request_of
from runners.tuning.advice import Advice
from runners.tuning.device import fingerprint_here
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
