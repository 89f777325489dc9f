# SPDX-License-Identifier: Apache-2.0
"""Trust from files and registry: who may take away, who may give, and what a restart or a clock may bring back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

import pytest

from artifacts.keys.file import FileTrust
from artifacts.signing.ed25519 import Ed25519Signer
from artifacts.signing.policy import TrustPolicy
from artifacts.testing import refused, trust
from core.clock import ForwardClock, ManualClock
from core.errors import ErrorCode, Unavailable
from runners.cache import LoadedModel
from runners.testing import FakeRunner
from services.dataplane.catalog.bundle import BundleCatalog
from services.dataplane.trust.live import LiveTrust
from services.dataplane.trust.seen import SeenPolicies
from services.dataplane.trust.watch import TrustWatch
from services.edge.context import Principal
from services.testing import loaded

OURS, THEIRS = Ed25519Signer.generate(), Ed25519Signer.generate()
DIGEST = "sha256:" + "ab" * 32


@dataclass(kw_only=True)
class Setting:
    """A server's trust, with the registry's answer and the clock in the test's hands."""

    folder: Path
    clock: ManualClock = field(default_factory=ManualClock)
    registry: TrustPolicy | None = None  # None: it does not answer

    async def ask(self, _tenant: str) -> TrustPolicy:
        if self.registry is None:
            raise Unavailable(ErrorCode.STORE_UNAVAILABLE, "away")
        return self.registry

    def pin(self, policy: TrustPolicy) -> None:
        (self.folder / "trust").mkdir(exist_ok=True)
        (self.folder / "trust" / "acme.json").write_bytes(policy.to_bytes())

    def start(self, *, supply: bool = False) -> LiveTrust:
        """What a server that starts now has."""
        seen = SeenPolicies(self.folder / "seen")
        clock = ForwardClock(self.clock)
        return LiveTrust(FileTrust(self.folder / "trust"), seen, clock=clock, ask=self.ask, supply=supply)


@pytest.fixture
def setting(tmp_path: Path) -> Setting:
    return Setting(folder=tmp_path)


def signed(model: LoadedModel, signer: Ed25519Signer = OURS) -> LoadedModel:
    model.key_id, model.covered = signer.key_id, frozenset({model.digest})
    return model


@pytest.fixture
async def model() -> LoadedModel:
    return signed(loaded(FakeRunner()))


async def test_the_registry_takes_away(setting: Setting, model: LoadedModel) -> None:
    """A key or digest it revokes ends what is loaded, and its shorter validity counts."""
    end = setting.clock.now() + timedelta(hours=1)
    expired = replace(trust(OURS), keys=(replace(trust(OURS).keys[0], not_after=end),))
    for serial, (policy, code) in enumerate(
        [
            (replace(trust(OURS), revoked_digests=frozenset({DIGEST})), ErrorCode.REVOKED),
            (replace(trust(OURS), revoked_keys=frozenset({OURS.key_id})), ErrorCode.REVOKED),
            (expired, ErrorCode.SIGNATURE_EXPIRED),
        ]
    ):
        fresh = Setting(folder=setting.folder / str(serial))
        fresh.folder.mkdir()
        fresh.pin(trust(OURS))
        live = fresh.start()
        live.check(model)
        fresh.registry = replace(policy, serial=5)
        await live.refresh("acme")
        fresh.clock.advance(3600)
        with refused(code):
            live.check(model)


async def test_the_registry_gives_nothing_to_a_pinned_tenant(setting: Setting) -> None:
    """A registry in wrong hands adds its key, takes the pinned one off its list, whatever: the pin decides."""
    setting.pin(trust(OURS))
    setting.registry = replace(trust(THEIRS), serial=99)
    for supply in (False, True):
        live = setting.start(supply=supply)
        await live.refresh("acme")
        live.check(signed(loaded(FakeRunner())))
        with refused(ErrorCode.SIGNER_UNTRUSTED):
            live.check(signed(loaded(FakeRunner()), THEIRS))


async def test_the_registry_supplies_where_it_was_told_to(setting: Setting, model: LoadedModel) -> None:
    """Without a file: nobody is trusted, unless the operator said that the registry supplies."""
    setting.registry = replace(trust(OURS), serial=1)
    refusing, supplied = setting.start(), setting.start(supply=True)
    for live in (refusing, supplied):
        await live.refresh("acme")
    supplied.check(model)
    with refused(ErrorCode.SIGNER_UNTRUSTED, "acme.json"):
        refusing.check(model)
    (setting.folder / "trust").mkdir()
    (setting.folder / "trust" / "acme.json").write_bytes(b"{")
    with refused(ErrorCode.SIGNER_UNTRUSTED):
        supplied.check(model)


async def test_a_restart_without_the_registry_remembers(setting: Setting, model: LoadedModel) -> None:
    """What was revoked stays revoked after a restart while the registry is away."""
    setting.pin(trust(OURS))
    setting.registry = replace(trust(OURS), serial=7, revoked_digests=frozenset({DIGEST}))
    await setting.start().refresh("acme")
    setting.registry = None
    live = setting.start()
    await live.refresh("acme")
    with refused(ErrorCode.REVOKED):
        live.check(model)


async def test_an_older_policy_is_not_gone_back_to(setting: Setting, model: LoadedModel) -> None:
    """From the registry or as a file: an old copy gives nothing back, neither at once nor after a restart."""
    old = replace(trust(OURS), serial=3)
    new = replace(trust(THEIRS), serial=4, revoked_digests=frozenset({DIGEST}))
    steps: list[Callable[[TrustPolicy], None]] = [setting.pin, lambda policy: setattr(setting, "registry", policy)]
    setting.pin(old)
    for step in steps:
        live = setting.start()
        for policy in (old, new, old):
            step(policy)
            setting.clock.advance(10)
            await live.refresh("acme")
            with_it = live.policy("acme")
        for shown in (with_it, setting.start().policy("acme")):
            assert shown.revoked_digests == {DIGEST}
    assert [key.key_id for key in setting.start().policy("acme").keys] == [THEIRS.key_id]


async def test_a_file_without_a_serial_is_the_operators_word(setting: Setting, model: LoadedModel) -> None:
    """What a person writes by hand is taken as it stands, also when it takes a revocation back."""
    live = setting.start()
    setting.pin(replace(trust(OURS), revoked_digests=frozenset({DIGEST})))
    with refused(ErrorCode.REVOKED):
        live.check(model)
    setting.pin(trust(OURS))
    live.check(model)


async def test_a_clock_set_back_extends_nothing(setting: Setting, model: LoadedModel) -> None:
    """A key whose validity is over stays so when the clock goes back an hour, also in a process that starts then."""
    end = setting.clock.now() + timedelta(minutes=30)
    policy = replace(trust(OURS), keys=(replace(trust(OURS).keys[0], not_after=end),))
    setting.pin(replace(policy, serial=1, issued_at=end + timedelta(minutes=1)))
    live = setting.start()
    setting.clock.advance(1860)
    for _ in range(2):
        with refused(ErrorCode.SIGNATURE_EXPIRED):
            live.check(model)
        setting.clock.set_back(3600)
        live = setting.start() if _ else live
    with refused(ErrorCode.SIGNATURE_EXPIRED):
        setting.start().check(model)


async def test_a_watched_bundle_stops_and_comes_back(setting: Setting, model: LoadedModel) -> None:
    """Revoked, the one model of a server is refused and the server not ready; put right, it answers again."""
    setting.pin(trust(OURS))
    live, caller = setting.start(), Principal(tenant="acme", key_id="k")
    catalog = BundleCatalog(model, trust=live)
    watch = TrustWatch(live, catalog, every_s=1)
    await watch.look()
    assert catalog.lease(caller, "fake", None) is model
    setting.pin(replace(trust(OURS), revoked_keys=frozenset({OURS.key_id})))
    await watch.look()
    assert catalog.lease(caller, "fake", None) is None
    assert not await catalog.ready()
    assert [state.reason for state in await catalog.index(caller)] == ["not trusted any more"]
    with refused(ErrorCode.REVOKED):
        await catalog.acquire(caller, "fake", None)
    setting.pin(trust(OURS))
    await watch.look()
    assert await catalog.acquire(caller, "fake", None) is model
    await catalog.close()


def test_a_folder_that_cannot_be_written_is_no_obstacle(tmp_path: Path) -> None:
    """Where nothing can be kept, policies are remembered until the process ends."""
    (tmp_path / "file").write_bytes(b"")
    seen = SeenPolicies(tmp_path / "file")
    seen.accept("registry", replace(trust(OURS), serial=2, revoked_digests=frozenset({DIGEST})))
    assert seen.accept("registry", replace(trust(OURS), serial=1)).revoked_digests == {DIGEST}
