# SPDX-License-Identifier: Apache-2.0
"""Layouts on disk: what is written, and what a stranger's layout cannot do."""

from __future__ import annotations

import errno
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from artifacts.digest import digest_bytes, hex_of
from artifacts.oci import blobs
from artifacts.oci.layout import Descriptor, ImageIndex, Layout
from artifacts.oci.media import IMAGE_INDEX, IMAGE_MANIFEST, LAYER_TAR, REF_NAME
from artifacts.stores.testing import refused
from core.errors import ErrorCode
from tests.unit.artifacts.oci.images import AMD64, image


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """Empty."""
    return Layout.create(tmp_path / "layout")


def path_of(layout: Layout, digest: str) -> Path:
    """Where a blob lies."""
    return layout.root / "blobs" / "sha256" / hex_of(digest)


def names(layout: Layout) -> list[str | None]:
    """The names in the index, in order."""
    return [entry.annotations.get(REF_NAME) for entry in layout.index().manifests]


def test_a_layout_is_what_the_specification_says(layout: Layout) -> None:
    """A new layout has the mark, an empty index and the folder of blobs, and nothing else."""
    found = sorted(str(path.relative_to(layout.root)) for path in layout.root.rglob("*"))
    assert found == ["blobs", "blobs/sha256", "index.json", "oci-layout"]
    assert json.loads((layout.root / "oci-layout").read_text()) == {"imageLayoutVersion": "1.0.0"}
    assert Layout.open(layout.root).index() == ImageIndex(manifests=())


def test_a_folder_that_holds_anything_is_not_made_a_layout(tmp_path: Path) -> None:
    """Nothing is written beside what is there."""
    (tmp_path / "file").touch()
    with refused(ErrorCode.RESOURCE_EXISTS):
        Layout.create(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_an_image_comes_back_as_it_was_written(layout: Layout) -> None:
    """A manifest is found by its tag, with its platform, and its blobs by its descriptors."""
    written = image(layout, [b"one", b"two"], tag="v1")
    assert layout.resolve("v1") == written
    assert written.platform == AMD64
    manifest = Layout.open(layout.root).manifest(written)
    assert [layout.read_blob(layer) for layer in manifest.layers] == [b"one", b"two"]
    with layout.open_blob(manifest.layers[0]) as file:
        assert file.read() == b"one"


def test_equal_images_have_equal_digests(layout: Layout, tmp_path: Path) -> None:
    """Writing the same twice, or elsewhere, gives the same digest and one blob."""
    again = image(Layout.create(tmp_path / "other"), [b"one"])
    assert image(layout, [b"one"]).digest == image(layout, [b"one"]).digest == again.digest
    assert len(list((layout.root / "blobs" / "sha256").iterdir())) == 3


def test_a_tag_moves_and_what_it_named_stays(layout: Layout) -> None:
    """A name stands at one manifest; the one it left is still an entry, until it is removed."""
    first, second = image(layout, [b"one"], tag="v1"), image(layout, [b"two"], tag="v1")
    assert names(layout) == [None, "v1"]
    assert layout.resolve("v1") == second
    layout.remove(first.digest)
    assert names(layout) == ["v1"]
    assert layout.size_of(first.digest) is not None


def test_what_others_wrote_into_the_index_is_kept(layout: Layout) -> None:
    """Its annotations and what it is attached to."""
    first = image(layout, [b"one"], tag="v1")
    before = ImageIndex(manifests=(first,), annotations={"com.example": "kept"}, subject=first.content)
    layout._write_index(before)
    image(layout, [b"two"])
    after = Layout.open(layout.root).index()
    assert (after.annotations, after.subject) == (before.annotations, before.subject)
    assert len(after.manifests) == 2


def test_one_image_may_have_several_names(layout: Layout) -> None:
    """Names are added; adding without a name, or the same name again, changes nothing."""
    entry = image(layout, [b"one"], tag="v1")
    for tag in ("v2", "v2", None):
        layout.add(entry, tag=tag)
    assert names(layout) == ["v1", "v2"]


def test_several_threads_lose_no_entry(layout: Layout) -> None:
    """Entries that are added at the same time are all there afterwards."""
    written = [image(layout, [bytes([number])]) for number in range(8)]
    for entry in written:
        layout.remove(entry.digest)
    threads = [
        threading.Thread(target=layout.add, args=(entry,), kwargs={"tag": f"v{number}"})
        for number, entry in enumerate(written)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(name or "" for name in names(layout)) == [f"v{number}" for number in range(8)]


@pytest.mark.parametrize("tag", ["", "-x", "a b", "a\n", "x" * 256])
def test_a_tag_that_cannot_be_one_is_refused(layout: Layout, tag: str) -> None:
    """And nothing is added."""
    entry = image(layout, [b"one"])
    with refused(ErrorCode.INVALID_FIELD):
        layout.add(entry, tag=tag)
    assert names(layout) == [None]


def test_what_is_not_there_is_not_added(layout: Layout) -> None:
    """An entry of the index always has its manifest."""
    with refused(ErrorCode.BLOB_NOT_FOUND):
        layout.add(Descriptor(media_type=IMAGE_MANIFEST, digest=digest_bytes(b"x"), size=1))


@pytest.mark.parametrize("data", [b"others", b"longer than expected", b"short"])
def test_bytes_that_were_not_expected_leave_nothing(layout: Layout, data: bytes) -> None:
    """Neither a blob nor a part of one stays."""
    expected = Descriptor(media_type=LAYER_TAR, digest=digest_bytes(b"expect"), size=6)
    with refused(ErrorCode.DIGEST_MISMATCH):
        layout.put_blob([data[:3], data[3:]], media_type=LAYER_TAR, expected=expected)
    assert list((layout.root / "blobs" / "sha256").iterdir()) == []
    assert sorted(path.name for path in layout.root.iterdir()) == ["blobs", "index.json", "oci-layout"]


def test_an_error_of_the_source_passes_and_leaves_nothing(layout: Layout) -> None:
    """The error is the source's own."""

    def failing() -> Iterator[bytes]:
        yield b"some"
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        layout.put_blob(failing(), media_type=LAYER_TAR)
    assert sorted(path.name for path in layout.root.iterdir()) == ["blobs", "index.json", "oci-layout"]


def test_a_full_disk_is_said(layout: Layout) -> None:
    """``STORE_004``, retryable, and nothing stays."""

    def full() -> Iterator[bytes]:
        yield b"some"
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with refused(ErrorCode.STORE_FULL):
        layout.put_blob(full(), media_type=LAYER_TAR)
    assert list((layout.root / "blobs" / "sha256").iterdir()) == []


def test_a_changed_byte_is_found(layout: Layout) -> None:
    """Neither opening nor reading gives a damaged blob."""
    blob = layout.put_bytes(b"a layer", media_type=LAYER_TAR)
    path_of(layout, blob.digest).write_bytes(b"b layer")
    for read in (layout.open_blob, layout.read_blob):
        with refused(ErrorCode.DIGEST_MISMATCH, blob.digest):
            read(blob)


def test_a_wrong_size_is_found_before_anything_is_hashed(layout: Layout) -> None:
    """The descriptor's size is checked like its digest."""
    blob = layout.put_bytes(b"a layer", media_type=LAYER_TAR)
    wrong = Descriptor(media_type=LAYER_TAR, digest=blob.digest, size=6)
    for read in (layout.open_blob, layout.read_blob):
        with refused(ErrorCode.DIGEST_MISMATCH, "6"):
            read(wrong)


def test_a_blob_is_not_read_beyond_the_limit(layout: Layout) -> None:
    """What its descriptor says is too large is not opened."""
    blob = layout.put_bytes(b"a layer", media_type=LAYER_TAR)
    with refused(ErrorCode.TOO_LARGE):
        layout.read_blob(blob, limit=6)


def test_links_and_pipes_are_not_blobs(layout: Layout, tmp_path: Path) -> None:
    """Neither a link to another file, a pipe nor a folder is opened, and nothing waits."""
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret")
    wanted = Descriptor(media_type=LAYER_TAR, digest=digest_bytes(b"secret"), size=6)
    path = path_of(layout, wanted.digest)
    makers: tuple[Callable[[], None], ...] = (lambda: path.symlink_to(secret), lambda: os.mkfifo(path), path.mkdir)
    for make in makers:
        make()
        with refused(ErrorCode.PATH_UNSAFE):
            layout.open_blob(wanted)
        path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()


def test_a_linked_folder_is_no_folder_of_blobs(layout: Layout, tmp_path: Path) -> None:
    """A layout cannot make us read or write blobs elsewhere."""
    folder = layout.root / "blobs" / "sha256"
    folder.rmdir()
    (tmp_path / "elsewhere").mkdir()
    folder.symlink_to(tmp_path / "elsewhere")
    with refused(ErrorCode.PATH_UNSAFE):
        Layout.open(layout.root)
    with refused(ErrorCode.PATH_UNSAFE):
        layout.size_of(digest_bytes(b"x"))


def test_a_linked_index_is_not_read(layout: Layout, tmp_path: Path) -> None:
    """Nor a linked mark."""
    for name in ("index.json", "oci-layout"):
        path = layout.root / name
        path.rename(tmp_path / name)
        path.symlink_to(tmp_path / name)
        with refused(ErrorCode.PATH_UNSAFE):
            Layout.open(layout.root)
        path.unlink()
        with refused(ErrorCode.FILE_MISSING, name):
            Layout.open(layout.root)
        (tmp_path / name).rename(path)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("oci-layout", b'{"imageLayoutVersion": "2.0.0"}'),
        ("oci-layout", b"[]"),
        ("index.json", b"{"),
        ("index.json", b'{"schemaVersion": 2, "manifests": {}}'),
        ("index.json", b'{"schemaVersion": 2, "manifests": [], "layers": []}'),
        ("index.json", b"[" * 100_000),
        (
            "index.json",
            b'{"schemaVersion": 2, "manifests": [{"mediaType": "a/b", "digest": "sha256:../x", "size": 1}]}',
        ),
    ],
)
def test_a_malformed_layout_is_refused(layout: Layout, name: str, content: bytes) -> None:
    """Whatever is wrong with it has the code of a malformed document."""
    (layout.root / name).write_bytes(content)
    with refused(ErrorCode.MANIFEST_INVALID):
        Layout.open(layout.root)


def test_an_index_that_is_too_large_is_not_parsed(layout: Layout) -> None:
    """Beyond 4 MiB nothing is read."""
    (layout.root / "index.json").write_bytes(b" " * (4 * 1024 * 1024 + 1))
    with refused(ErrorCode.TOO_LARGE):
        Layout.open(layout.root)


def test_one_name_at_two_manifests_is_ambiguous(layout: Layout) -> None:
    """Such a tag is not resolved."""
    entries = [image(layout, [bytes([number])]).annotated(**{REF_NAME: "v1"}) for number in range(2)]
    layout._write_index(ImageIndex(manifests=tuple(entries)))
    with refused(ErrorCode.MANIFEST_INVALID):
        layout.resolve("v1")


def test_an_index_is_not_taken_for_a_manifest(layout: Layout) -> None:
    """``manifest`` gives image manifests only."""
    entry = layout.put_manifest(ImageIndex(manifests=()))
    assert entry.media_type == IMAGE_INDEX
    with refused(ErrorCode.MANIFEST_INVALID):
        layout.manifest(entry)


def test_large_blobs_are_written_and_read_in_pieces(layout: Layout) -> None:
    """A blob of several pieces has the digest of all of them."""
    piece = b"x" * (blobs.PIECE_BYTES // 2 + 1)
    written = layout.put_blob((piece for _ in range(5)), media_type=LAYER_TAR)
    assert (written.size, written.digest) == (5 * len(piece), digest_bytes(5 * piece))
    with layout.open_blob(written) as file:
        assert file.read() == 5 * piece


def test_what_killed_writers_left_is_swept_by_age(layout: Layout) -> None:
    """Opening removes parts nobody wrote to for a day; younger ones, blobs and whatever else lies there stay."""
    blob = layout.put_bytes(b"kept", media_type=LAYER_TAR)
    old, young, strange = (layout.root / name for name in (".0a.part", ".0b.part", "notes.part"))
    for path, age in ((old, blobs.PART_SECONDS + 60), (young, 60), (strange, blobs.PART_SECONDS + 60)):
        path.write_bytes(b"half")
        os.utime(path, (time.time() - age,) * 2)
    os.utime(path_of(layout, blob.digest), (0, 0))
    Layout.open(layout.root)
    assert [path.exists() for path in (old, young, strange)] == [False, True, True]
    assert layout.read_blob(blob) == b"kept"
