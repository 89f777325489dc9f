# SPDX-License-Identifier: Apache-2.0
"""The compose file fits its specification, and what it names exists."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.unit.deploy.manifests import DEPLOY, ROOT, compose

FOLDER = DEPLOY / "compose"
OURS = ("migrate", "registry", "worker", "service-key", "inference")


def test_it_fits_the_specification() -> None:
    """The schema of the compose specification accepts it."""
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    ran = subprocess.run([*command, str(FOLDER / "compose.yaml")], capture_output=True, text=True, check=False)

    assert ran.returncode == 0, ran.stdout


def test_images_have_exact_tags() -> None:
    """Images of others are named by a tag with a full version, and each can be replaced by a digest."""
    for name, service in compose()["services"].items():
        image = service["image"]
        assert re.fullmatch(r"\$\{[A-Z]+_IMAGE:-[a-z0-9./-]+:(local|v?\d+\.\d+(\.\d+)?[a-z0-9.-]*)\}", image), name


def test_every_service_is_hardened() -> None:
    """No writable root file system, no capability but what is listed, no new privileges."""
    for name, service in compose()["services"].items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert not service.get("privileged"), name
    with_more = [name for name, service in compose()["services"].items() if "cap_add" in service]

    assert with_more == ["bucket", "objects"]


def test_only_this_machine_reaches_it() -> None:
    """Ports are published on loopback; database, Redis and objects are not published, and on a network without a way out."""
    services = compose()["services"]
    published = [port for service in services.values() for port in service.get("ports", [])]

    assert all(port.startswith("127.0.0.1:") for port in published)
    assert [name for name in ("postgres", "redis", "objects") if services[name]["networks"] != ["inside"]] == []
    assert compose()["networks"]["inside"] == {"internal": True}


def test_what_is_mounted_exists() -> None:
    """Bind mounts are files of this repository, volumes and secrets are declared, and secrets.sh makes each secret."""
    document = compose()
    made = set(re.findall(r"^put (\w+)", (FOLDER / "secrets.sh").read_text(), re.MULTILINE))
    for service in document["services"].values():
        for mount in service.get("volumes", []):
            source = mount.split(":")[0]
            if source.startswith("."):
                assert (FOLDER / source).exists(), source
            else:
                assert source in document["volumes"]
        assert set(service.get("secrets", [])) <= set(document["secrets"])
    assert {Path(secret["file"]).name for secret in document["secrets"].values()} == made


def test_what_images_are_built_with_is_asked_for() -> None:
    """Each build argument is one of the Containerfile, and each target one of its stages."""
    written = (FOLDER / "Containerfile").read_text()
    arguments = set(re.findall(r"^ARG (\w+)=", written, re.MULTILINE))
    stages = set(re.findall(r"^FROM \S+ AS (\S+)$", written, re.MULTILINE))
    built = [service["build"] for service in compose()["services"].values() if "build" in service]

    assert {name for build in built for name in build.get("args", {})} == {"IMAGES"} <= arguments
    assert {build["target"] for build in built} == {"registry", "inference"} <= stages


def test_secrets_are_made_once(tmp_path: Path) -> None:
    """The script writes every secret into a closed folder, tells nothing, and keeps what exists."""
    script = tmp_path / "secrets.sh"
    script.write_text((FOLDER / "secrets.sh").read_text())
    first = subprocess.run(["bash", str(script)], capture_output=True, text=True, check=True)
    before = {file.name: file.read_text() for file in (tmp_path / "secrets").iterdir()}
    second = subprocess.run(["bash", str(script)], capture_output=True, text=True, check=True)

    assert first.stdout + first.stderr == ""
    assert "nothing was changed" in second.stderr
    assert before == {file.name: file.read_text() for file in (tmp_path / "secrets").iterdir()}
    assert (tmp_path / "secrets").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / ".env").stat().st_mode & 0o777 == 0o600
    assert before["app_password"] in before["database_url"]
    assert len(set(before.values())) == len(before)


def test_prometheus_asks_services_that_exist() -> None:
    """Each target is a service's name and port, and the rules it reads are mounted."""
    services = compose()["services"]
    document: dict[str, Any] = yaml.safe_load((FOLDER / "prometheus.yaml").read_text())
    targets = [
        target for job in document["scrape_configs"] for each in job["static_configs"] for target in each["targets"]
    ]
    mounted = {mount.split(":")[1] for mount in services["prometheus"]["volumes"]}

    assert targets == ["registry:8800", "worker:9100", "inference:3000"]
    assert set(document["rule_files"]) <= mounted


@pytest.mark.parametrize("target", ["registry", "inference"])
def test_an_image_holds_what_its_processes_import(target: str) -> None:
    """Every folder of the repository that a stage copies exists and is not kept out of the build's context."""
    text = (FOLDER / "Containerfile").read_text()
    stage = text.partition(f"FROM base AS {target}\n")[2].partition("\nFROM ")[0]
    copied = re.findall(r"^COPY ([a-z_/]+) \1$", stage, re.MULTILINE)
    let_in = re.findall(r"^!(.+)$", (FOLDER / "Containerfile.dockerignore").read_text(), re.MULTILINE)

    assert {"core", "artifacts", "runners", "services"} <= set(copied)
    assert [folder for folder in copied if not (ROOT / folder).is_dir()] == []
    assert set(copied) <= set(let_in)
    assert ("registry_api" in copied) == (target == "registry")
