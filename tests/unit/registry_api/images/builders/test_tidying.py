# SPDX-License-Identifier: Apache-2.0
"""What pip leaves, made to depend on the wheels alone."""

from __future__ import annotations

from pathlib import Path

from registry_api.images.builders.tidying import tidy


def test_nothing_of_this_machine_is_left(tmp_path: Path) -> None:
    """Scripts, caches and notes of the installation go, and RECORD names what is still there, sorted."""
    kept = {"b/__init__.py": "", "a.py": "", "a-1.dist-info/METADATA": "Name: a\n"}
    gone = {"bin/a": "#!/here/python", "b/__pycache__/x.pyc": "", "a-1.dist-info/direct_url.json": "{}"}
    record = (
        "b/__init__.py,,\n../../bin/a,sha256=x,1\na.py,,\na-1.dist-info/direct_url.json,,\na-1.dist-info/RECORD,,\n"
    )
    for path, text in {**kept, **gone, "a-1.dist-info/RECORD": record, "a-1.dist-info/INSTALLER": "pip"}.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    tidy(tmp_path)
    found = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert found == {*kept, "a-1.dist-info/RECORD"}
    assert (tmp_path / "a-1.dist-info/RECORD").read_text() == "a-1.dist-info/RECORD,,\na.py,,\nb/__init__.py,,\n"
