# SPDX-License-Identifier: Apache-2.0
"""Images: made, waited for, listed, and downloaded as OCI layouts."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from furoshiki import Build, Client, Conflict, Image, InvalidRequest, JobFailed, NotFound, Progress, SignatureRefused
from furoshiki.testing import FakeService
from furoshiki.testing.images import BASE

Either: TypeAlias = Callable[..., Any]  # the fixture: a call, run by one of the clients


@pytest.fixture
def build(client: Client, model_file: Path) -> Build:
    client.models.push("digits", model_file)
    return client.builds.wait(client.builds.create("digits").id)


@pytest.fixture
def made(client: Client, build: Build) -> Image:
    return client.images.wait(client.images.create(build.id).id)


def fetched(service: FakeService) -> int:
    """How many blobs were asked for."""
    return sum("blobs" in call.segments for call in service.calls)


def test_an_image_is_made_and_waited_for(either: Either, build: Build) -> None:
    """Until it is made it has no digest; then builder, reason and layers are known."""
    asked = either(lambda client: client.images.create(build.id, builder="auto", device="cpu", architecture="amd64"))
    assert (asked.state, asked.digest, asked.layers) == ("queued", None, ())
    with pytest.raises(Conflict, match="STATE_001"):
        either(lambda client: client.images.download(asked.id, "nowhere"))
    steps: list[str] = []
    done = either(lambda client: client.images.wait(asked.id, progress=lambda job: steps.append(job.state)))
    assert steps[-1] == "succeeded"
    assert (done.builder, done.reason, done.model) == ("layers", "buildah is not installed", "digits")
    assert [layer.name for layer in done.layers] == ["base", "model"]
    assert either(lambda client: client.images.wait(asked.id)) == done
    assert [one.id for one in either(lambda client: client.images.list())] == [asked.id]


def test_what_cannot_be_made_is_said(either: Either, build: Build, service: FakeService) -> None:
    """An unknown build or image, and a job that fails."""
    with pytest.raises(NotFound, match="BUILD_001"):
        either(lambda client: client.images.create("build-9"))
    with pytest.raises(NotFound, match="IMAGE_008"):
        either(lambda client: client.images.get("image-9"))
    service.operations.fail_jobs = True
    asked = either(lambda client: client.images.create(build.id))
    with pytest.raises(JobFailed, match="As told"):
        either(lambda client: client.images.wait(asked.id))


def test_a_download_is_an_oci_layout(either: Either, made: Image, tmp_path: Path) -> None:
    """Every blob under its digest, what is attached included; progress ends at the whole."""
    told: list[Progress] = []
    folder = tmp_path / "layout"
    found = either(lambda client: client.images.download(made.id, folder, progress=told.append))
    assert json.loads((folder / "oci-layout").read_bytes()) == {"imageLayoutVersion": "1.0.0"}
    names = {entry["digest"] for entry in json.loads((folder / "index.json").read_bytes())["manifests"]}
    blobs = {path.name: path.stat().st_size for path in (folder / "blobs" / "sha256").iterdir()}
    assert (found.digest in names, len(names), len(blobs)) == (True, 2, 5)
    assert (found.directory, found.fetched, found.kept) == (folder, sum(blobs.values()), 0)
    assert (told[-1].done, told[-1].total) == (found.fetched, found.fetched)
    assert not list(folder.glob(".*"))


def test_what_is_there_is_not_fetched_again(either: Either, made: Image, service: FakeService, tmp_path: Path) -> None:
    """After a cut only the rest travels; a damaged blob does too."""
    folder = tmp_path / "layout"
    either(lambda client: client.images.download(made.id, folder))
    again = either(lambda client: client.images.download(made.id, folder))
    assert (again.fetched, again.kept > 0) == (0, True)
    (folder / "index.json").unlink()
    base = folder / "blobs" / "sha256" / made.layers[0].digest.removeprefix("sha256:")
    base.write_bytes(b"x" * len(BASE))
    before = fetched(service)
    resumed = either(lambda client: client.images.download(made.id, folder))
    assert (fetched(service) - before, resumed.fetched) == (1, len(BASE))
    assert base.read_bytes() == BASE


def test_a_download_that_is_cut_goes_on(either: Either, made: Image, service: FakeService, tmp_path: Path) -> None:
    """Within a call by another attempt; between calls by what is there, and until then there is no index."""
    folder = tmp_path / "layout"
    service.operations.images.damage.add(made.layers[1].digest)
    with pytest.raises(SignatureRefused, match="SIGN_004"):
        either(lambda client: client.images.download(made.id, folder))
    assert not (folder / "index.json").exists()
    assert not list(folder.glob(".*"))
    service.operations.images.damage.clear()
    service.cut_next()
    found = either(lambda client: client.images.download(made.id, folder))
    assert found.fetched == made.layers[1].size
    assert (folder / "index.json").exists()


def test_a_blob_that_was_cut_goes_on(either: Either, made: Image, service: FakeService, tmp_path: Path) -> None:
    """From the byte where it ended; what is left of something else is thrown away."""
    folder, name = tmp_path / "layout", made.layers[0].digest.removeprefix("sha256:")
    part = folder / f".{name}.part"

    def interrupt(progress: Progress) -> None:
        if progress.path == made.layers[0].digest[:19]:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        either(lambda client: client.images.download(made.id, folder, progress=interrupt))
    assert part.stat().st_size > 0
    either(lambda client: client.images.download(made.id, folder))
    wrong, whole = b"x" * 1000, folder / "blobs" / "sha256" / name
    for left, rest in ((BASE[:1000], len(BASE) - 1000), (BASE, 0), (wrong, len(BASE)), (BASE * 2, len(BASE))):
        whole.unlink()
        part.write_bytes(left)
        assert either(lambda client: client.images.download(made.id, folder)).fetched == rest
        assert whole.read_bytes() == BASE
        assert not part.exists()


@pytest.mark.parametrize("damaged", ["manifest", "layer"])
def test_nothing_else_than_the_image_is_taken(
    either: Either, made: Image, service: FakeService, tmp_path: Path, damaged: str
) -> None:
    """Every document and every layer must have the digest by which it is named."""
    service.operations.images.damage.add(str(made.digest) if damaged == "manifest" else made.layers[0].digest)
    with pytest.raises(SignatureRefused, match="SIGN_004"):
        either(lambda client: client.images.download(made.id, tmp_path / "layout"))


def test_a_folder_of_something_else_is_left_alone(either: Either, made: Image, tmp_path: Path) -> None:
    """A file, other files, another image's layout."""
    (tmp_path / "file").write_text("mine")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "mine").touch()
    (tmp_path / "layout").mkdir()
    (tmp_path / "layout" / "oci-layout").touch()
    (tmp_path / "layout" / "index.json").write_text('{"manifests":[]}')
    for name in ("file", "other", "layout"):
        with pytest.raises(InvalidRequest, match="CLIENT_004"):
            either(lambda client, folder=tmp_path / name: client.images.download(made.id, folder))


@pytest.mark.parametrize("make", [Path.symlink_to, Path.hardlink_to])
def test_a_link_in_the_folder_is_not_written_through(
    either: Either, made: Image, tmp_path: Path, make: Callable[[Path, Path], None]
) -> None:
    """Whoever made the folder before cannot have another file written; a linked folder of blobs is refused."""
    folder, victim, name = tmp_path / "layout", tmp_path / "victim", made.layers[0].digest.removeprefix("sha256:")
    victim.write_bytes(b"mine")
    either(lambda client: client.images.download(made.id, folder))
    (folder / "blobs" / "sha256" / name).unlink()
    for part in (f".{name}.part", ".index.json.part", ".oci-layout.part"):
        make(folder / part, victim)
    either(lambda client: client.images.download(made.id, folder))
    assert (victim.read_bytes(), victim.stat().st_nlink) == (b"mine", 1)
    (folder / "blobs").rename(tmp_path / "elsewhere")
    (folder / "blobs").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InvalidRequest, match="CLIENT_004"):
        either(lambda client: client.images.download(made.id, folder))
