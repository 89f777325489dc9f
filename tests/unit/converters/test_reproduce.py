# SPDX-License-Identifier: Apache-2.0
"""``reproduce.json``: everything that matters, and nothing that differs from run to run."""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path

import msgspec

from converters.catalogue import recipe_named
from converters.reproduce import NAME, digest_of, environment, write
from converters.spec import ConvertSpec

SPEC = ConvertSpec(
    bundle="/place/bundle",
    tenant="acme",
    model="digits",
    version=3,
    variant="keras-fp32/cpu",
    trust="/place/trust",
    target="tflite-int8/cpu",
    output="/place/output",
    answer="/place/answer.json",
    budget_s=60.0,
    memory_bytes=1 << 30,
)


def written(folder: Path, spec: ConvertSpec = SPEC) -> bytes:
    steps = [recipe_named("keras_to_saved_model"), recipe_named("saved_model_to_tflite_int8")]
    folder.mkdir()
    write(folder, spec, variant=spec.target, source_digest="sha256:1", calibration="sha256:2", steps=steps)
    return (folder / NAME).read_bytes()


def test_places_do_not_matter(tmp_path: Path) -> None:
    """The same conversion elsewhere, with other limits, writes the same bytes."""
    elsewhere = msgspec.structs.replace(SPEC, bundle="/other", output="/another", budget_s=1.0)
    assert written(tmp_path / "a") == written(tmp_path / "b", elsewhere)
    assert b"/place" not in written(tmp_path / "c")


def test_what_is_asked_for_matters(tmp_path: Path) -> None:
    """Another threshold is another spec and another digest of it."""
    first = json.loads(written(tmp_path / "a"))
    second = json.loads(written(tmp_path / "b", msgspec.structs.replace(SPEC, thresholds={"cosine": 0.9})))
    assert first["spec_digest"] != second["spec_digest"]
    assert first["route"] == ["keras_to_saved_model", "saved_model_to_tflite_int8"]
    assert (first["source"], first["calibration"]) == ("sha256:1", "sha256:2")


def test_the_environment_is_exact() -> None:
    """Every installed distribution with its version; a step in an environment of its own names that one's lock."""
    found = environment([recipe_named("onnx_to_tflite")])
    assert found["distributions"]["msgspec"] == version("msgspec")
    assert list(found["locks"]) == ["onnx2tf.txt"]
    assert environment([recipe_named("torchscript_to_onnx")])["locks"] == {}


def test_a_folder_has_one_digest(tmp_path: Path) -> None:
    """Content and names matter, the order of writing does not."""
    for name, order in (("a", "xy"), ("b", "yx")):
        (tmp_path / name).mkdir()
        for letter in order:
            (tmp_path / name / letter).write_text(letter)
    assert digest_of(tmp_path / "a") == digest_of(tmp_path / "b")
    (tmp_path / "b" / "x").rename(tmp_path / "b" / "z")
    assert digest_of(tmp_path / "a") != digest_of(tmp_path / "b")
