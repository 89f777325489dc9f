# SPDX-License-Identifier: Apache-2.0
"""Models, their versions and stages; pushing, resuming and downloading."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from furoshiki import Client, Conflict, InvalidRequest, Progress, ServerFault
from furoshiki.testing import API_KEY, FakeService

Either: TypeAlias = Callable[..., Any]  # the fixture: a call, run by one of the clients


def uploads(service: FakeService) -> list[str]:
    """Paths of the files that were sent."""
    return ["/".join(call.segments[5:]) for call in service.calls if call.method == "PUT"]


def test_push_of_a_file_registers_the_next_version(either: Either, service: FakeService, model_file: Path) -> None:
    """A push makes the model if missing, and each push one more version, signed."""
    first = either(lambda client: client.models.push("digits", model_file, description="d", tags=["t"]))
    second = either(lambda client: client.models.push("digits", str(model_file), metadata={"accuracy": "0.97"}))
    assert (first.ref, second.ref, second.format) == ("acme/digits@1", "acme/digits@2", "onnx")
    assert second.metadata == {"accuracy": "0.97"}
    model = either(lambda client: client.models.get("digits"))
    assert (model.latest_version, model.description, model.tags) == (2, "d", ("t",))


def test_push_of_a_directory_takes_every_file(either: Either, service: FakeService, tmp_path: Path) -> None:
    """A directory is pushed whole, under paths relative to it, empty files included."""
    (tmp_path / "m/deep").mkdir(parents=True)
    (tmp_path / "m/model.onnx").write_bytes(b"model")
    (tmp_path / "m/deep/labels é.txt").write_bytes(b"a\nb\n")
    (tmp_path / "m/empty").touch()
    version = either(lambda client: client.models.push("digits", tmp_path / "m"))
    assert [file.path for file in version.files] == ["deep/labels é.txt", "empty", "model.onnx"]
    assert sorted(uploads(service)) == ["deep/labels é.txt", "empty", "model.onnx"]


def test_files_the_registry_holds_are_not_sent_again(either: Either, service: FakeService, model_file: Path) -> None:
    """A second push of the same bytes sends none of them."""
    either(lambda client: client.models.push("digits", model_file))
    service.calls.clear()
    assert either(lambda client: client.models.push("wine", model_file)).ref == "acme/wine@1"
    assert uploads(service) == []


def test_push_goes_on_after_a_cut(client: Client, service: FakeService, tmp_path: Path) -> None:
    """A push that was cut between two files sends only what is missing when it is started again."""
    for index in range(3):
        (tmp_path / f"part-{index}.onnx").write_bytes(b"x" * (index + 1))

    def cut_at_the_second(progress: Progress) -> None:
        if progress.phase == "upload" and progress.path == "part-1.onnx":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        client.models.push("digits", tmp_path, progress=cut_at_the_second)
    assert list(client.versions.list("digits")) == []
    sent = uploads(service)
    assert client.models.push("digits", tmp_path).version == 1
    assert "part-0.onnx" in sent
    assert "part-0.onnx" not in uploads(service)[len(sent) :]


def test_upload_survives_a_cut_connection(either: Either, service: FakeService, model_file: Path) -> None:
    """A file whose connection breaks is sent again from its start."""

    def cut(progress: Progress) -> None:
        if progress.phase == "hash":
            service.cut_next()

    assert either(lambda client: client.models.push("digits", model_file, progress=cut)).version == 1


def test_progress_counts_bytes_of_both_phases(either: Either, tmp_path: Path) -> None:
    """Progress ends at the total, once for hashing and once for uploading."""
    told: list[Progress] = []
    (tmp_path / "a.onnx").write_bytes(b"a" * 1000)
    (tmp_path / "b.txt").write_bytes(b"b" * 500)
    either(lambda client: client.models.push("digits", tmp_path, progress=told.append))
    for phase in ("hash", "upload"):
        done = [progress.done for progress in told if progress.phase == phase]
        assert (done, done[-1]) == (sorted(done), 1500)
    assert {progress.total for progress in told} == {1500}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda root: None, "holds no file"),
        (lambda root: (root / "link").symlink_to("/etc/passwd"), "symlink"),
        (lambda root: (root / "manifest.json").touch(), "belongs to the bundle itself"),
        (lambda root: ((root / "A").touch(), (root / "a").touch()), "collides"),
        (lambda root: (root / "bad\nname").touch(), "control or invisible"),
    ],
)
def test_directories_that_cannot_be_signed_are_refused(
    client: Client, service: FakeService, tmp_path: Path, make: Callable[[Path], object], message: str
) -> None:
    """What cannot be part of a bundle is refused before anything is sent."""
    root = tmp_path / "m"
    root.mkdir()
    make(root)
    with pytest.raises(InvalidRequest, match=rf"CLIENT_004.*{message}"):
        client.models.push("digits", root, format="onnx")
    assert service.calls == []


def test_source_that_is_not_there_is_refused(client: Client, tmp_path: Path) -> None:
    """A path that does not exist is named."""
    with pytest.raises(InvalidRequest, match=r"Cannot read '.*nope.onnx'"):
        client.models.push("digits", tmp_path / "nope.onnx")


@pytest.mark.parametrize("names", [["model.bin"], ["a.onnx", "b.tflite"]])
def test_format_must_be_told_where_names_do_not(client: Client, tmp_path: Path, names: list[str]) -> None:
    """Without a format, file names must name exactly one."""
    for name in names:
        (tmp_path / name).write_bytes(b"x")
    with pytest.raises(InvalidRequest, match=r"VALID_002.*format="):
        client.models.push("digits", tmp_path)
    assert client.models.push("digits", tmp_path, format="onnx").format == "onnx"


def test_corrupt_model_registers_nothing(either: Either, service: FakeService, tmp_path: Path) -> None:
    """A file that the runtime refuses is reported with the runtime's reason, and no version exists."""
    (tmp_path / "m.onnx").write_bytes(b"corrupt")
    with pytest.raises(InvalidRequest, match="MODEL_003"):
        either(lambda client: client.models.push("digits", tmp_path / "m.onnx"))
    assert service.registry.versions["digits"] == []


def test_create_of_a_taken_name_is_a_conflict(either: Either) -> None:
    """A name can be created once."""
    assert either(lambda client: client.models.create("digits", tags=["a"])).tags == ("a",)
    with pytest.raises(Conflict, match="MODEL_004"):
        either(lambda client: client.models.create("digits"))


def test_lists_walk_their_pages(either: Either, service: FakeService) -> None:
    """A list yields every value across pages, in order."""
    names = [f"m{index}" for index in range(5)]
    for name in names:
        either(lambda client, name=name: client.models.create(name))
    service.calls.clear()
    assert [model.name for model in either(lambda client: client.models.list())] == names
    assert [call.query.get("cursor") for call in service.calls] == [None, "2", "4"]


def test_pages_are_fetched_as_they_are_read(client: Client, service: FakeService) -> None:
    """Nothing is asked for before it is needed."""
    for index in range(5):
        client.models.create(f"m{index}")
    service.calls.clear()
    listing = client.models.list()
    assert service.calls == []
    next(listing)
    assert len(service.calls) == 1


def test_page_that_points_to_itself_is_a_server_fault(service: FakeService) -> None:
    """A list whose cursor does not move ends with an error, not never."""

    class Circling(FakeService):
        def answer(self, call: Any) -> Any:
            from furoshiki.testing.exchange import json_answer

            return json_answer({"items": [], "next_cursor": "2"})

    with pytest.raises(ServerFault, match="CLIENT_003"):
        list(Client(api_key=API_KEY, transport=Circling()).models.list())
