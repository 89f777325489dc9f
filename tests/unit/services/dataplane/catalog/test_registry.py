# SPDX-License-Identifier: Apache-2.0
"""What a model name becomes with real signed bundles and a registry in memory: found, verified, loaded, remembered."""

from __future__ import annotations

from datetime import timedelta

import pytest
from structlog.testing import capture_logs

import furoshiki
from artifacts.digest import digest_bytes
from artifacts.testing import make_bundle, refused
from artifacts.tuning import Chosen, Point, Tuning, sign_tuning
from core.deprecation import Notice
from core.errors import ErrorCode, ModelError
from runners.loading import backend_of
from runners.tuning.device import this_device
from tests.unit.services.dataplane.catalog.conftest import ACME, FRESH, GLOBEX, SIGNATURE, Setting, times


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
