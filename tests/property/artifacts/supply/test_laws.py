# SPDX-License-Identifier: Apache-2.0
"""The laws of SBOM and provenance, in the words of their modules."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from artifacts.digest import digest_bytes
from artifacts.supply.contents import Contents
from artifacts.supply.packages import Package
from artifacts.supply.provenance import Provenance, predicate_of, provenance_in
from artifacts.supply.sbom import image_in, packages_in, sbom_of

_NAMES = st.from_regex(r"[a-z0-9][a-z0-9+.-]{0,20}", fullmatch=True)
_VERSIONS = st.from_regex(r"[0-9][A-Za-z0-9.+~:-]{0,20}", fullmatch=True)
_PACKAGES = st.builds(
    Package,
    kind=st.sampled_from(["deb", "pypi"]),
    name=_NAMES,
    version=_VERSIONS,
    architecture=st.sampled_from(["", "amd64", "all"]),
    licence=st.text(max_size=20),
)
_DIGESTS = st.binary(max_size=4).map(digest_bytes)
_TIMES = st.datetimes(min_value=datetime(2000, 1, 1), max_value=datetime(2100, 1, 1)).map(  # noqa: DTZ001
    lambda time: time.replace(microsecond=time.microsecond // 1000 * 1000, tzinfo=UTC)
)


@given(packages=st.frozensets(_PACKAGES, max_size=20), image=_DIGESTS, model=_DIGESTS, created=_TIMES)
def test_an_sbom_lists_the_packages(packages: frozenset[Package], image: str, model: str, created: datetime) -> None:
    """``packages_in(sbom_of(image, contents, …)) == contents.packages``, and the same image gives the same document."""
    contents = Contents(packages=tuple(sorted(packages)), system="debian 12", bento={}, small={})
    first, second = (sbom_of(image, contents, name="acme/m@1", created=created, model=model) for _ in range(2))
    assert packages_in(first) == {package.purl for package in packages}
    assert image_in(first) == image
    assert first == second


@given(
    bento=_DIGESTS,
    base=_DIGESTS,
    models=st.lists(st.tuples(_NAMES, _DIGESTS), min_size=1, max_size=4, unique_by=lambda pair: pair[0]),
    started=_TIMES,
    finished=_TIMES,
    version=st.text(max_size=20),
)
def test_a_provenance_is_read_as_it_was_written(
    bento: str, base: str, models: list[tuple[str, str]], started: datetime, finished: datetime, version: str
) -> None:
    """``provenance_in(predicate_of(made)) == made``, with times in whole milliseconds."""
    made = Provenance(
        bento=bento,
        models=tuple(models),
        base=base,
        platform="linux/amd64",
        builder="layers",
        builder_version=version,
        invocation="job",
        started=started,
        finished=finished,
    )
    assert provenance_in(predicate_of(made)) == made
