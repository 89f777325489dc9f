# SPDX-License-Identifier: Apache-2.0
"""Packages as dpkg's and pip's files tell of them."""

from __future__ import annotations

from artifacts.supply.packages import Package, installed_packages

_STATUS = b"""Package: libc6
Status: install ok installed
Architecture: amd64
Version: 2.36-9+deb12u14
Description: GNU C Library
 Package: not-a-package
 .
 more

Package: gone
Status: deinstall ok config-files
Version: 1
Architecture: amd64

Package: tzdata
Version: 1:2026f-0+deb12u1
Architecture: all
"""


def test_installed_debian_packages_are_found_in_the_status_file() -> None:
    """Removed ones and what only looks like a field are not."""
    found = installed_packages({"var/lib/dpkg/status": _STATUS})
    assert [(package.name, package.version) for package in found] == [
        ("libc6", "2.36-9+deb12u14"),
        ("tzdata", "1:2026f-0+deb12u1"),
    ]
    assert found[1].purl == "pkg:deb/debian/tzdata@1:2026f-0+deb12u1?arch=all"


def test_python_packages_have_normal_names_and_short_licences() -> None:
    """A purl has the normalised name; a whole licence text is not a licence's name."""
    files = {
        "usr/lib/A.dist-info/METADATA": b"Name: Ruamel.YAML_Clib\nVersion: 1.0\nLicense-Expression: MIT\nLicense: no\n\n",
        "usr/lib/B.dist-info/METADATA": b"Name: b\nVersion: 2\nLicense: line one\n        line two\n\ntext",
        "usr/lib/B.dist-info/RECORD": b"Name: c\nVersion: 2\n",
    }
    found = installed_packages(files)
    assert [package.purl for package in found] == ["pkg:pypi/ruamel-yaml-clib@1.0", "pkg:pypi/b@2"]
    assert [package.licence for package in found] == ["MIT", ""]


def test_a_package_is_listed_once() -> None:
    """Two files that tell the same are one package."""
    control = b"Package: x\nVersion: 1\nArchitecture: amd64\n"
    found = installed_packages({"var/lib/dpkg/status.d/x": control, "var/lib/dpkg/status": control})
    assert found == (Package(kind="deb", name="x", version="1", architecture="amd64"),)
