# SPDX-License-Identifier: Apache-2.0
"""Nothing is sent to an address that is not public, whatever its spelling and however it is found."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Sequence
from ipaddress import ip_address

import pytest

from registry_api.webhooks.addresses import Address, AddressPolicy, Refused, check_url, is_public, system_resolver

ANY_PORT = AddressPolicy(ports=frozenset())


def answering(*addresses: str):  # type: ignore[no-untyped-def] # the closure's type is the resolver's
    async def resolve(_host: str, _port: int) -> Sequence[Address]:
        return [ip_address(address) for address in addresses]

    return resolve


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.8.8.8",
        "0.0.0.0",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "100.64.0.1",
        "169.254.169.254",
        "192.0.0.1",
        "192.0.2.1",
        "198.18.0.1",
        "192.88.99.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::7f00:1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "::ffff:8.8.8.8",
        "64:ff9b::7f00:1",
        "64:ff9b:1::1",
        "2001:0:1::1",
        "2001:db8::1",
        "2002:7f00:1::",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "fe80::1%eth0",
        "fec0::1",
        "ff02::1",
    ],
)
async def test_no_address_of_the_own_network_is_public(address: str) -> None:
    """Loopback, private, shared, link-local, documentation, multicast and transition addresses are refused."""
    assert not is_public(ip_address(address))
    with pytest.raises(Refused, match="not public"):
        await check_url("https://hooks.example/x", AddressPolicy(), answering(address))


@pytest.mark.parametrize("address", ["8.8.8.8", "93.184.216.34", "2606:4700::1111"])
async def test_public_addresses_pass(address: str) -> None:
    """A name with public addresses is a target with exactly those."""
    target = await check_url("https://hooks.example/x?y=1", AddressPolicy(), answering(address, address))
    assert (target.host, target.port, target.addresses) == ("hooks.example", 443, (ip_address(address),))


async def test_one_bad_address_among_good_ones_is_enough() -> None:
    """A name that also leads inside is refused altogether."""
    with pytest.raises(Refused, match="not public"):
        await check_url("https://hooks.example/", AddressPolicy(), answering("8.8.8.8", "10.0.0.1"))


@pytest.mark.parametrize(
    "url",
    ["https://2130706433/", "https://0x7f000001/", "https://127.1/", "https://[::1]/", "https://[::ffff:7f00:1]/"],
)
async def test_odd_spellings_of_this_machine_are_refused(url: str) -> None:
    """What the system's resolver makes of a spelling is what counts."""
    with pytest.raises(Refused):
        await check_url(url, ANY_PORT, system_resolver)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://hooks.example/", "scheme"),
        ("ftp://hooks.example/", "scheme"),
        ("file:///etc/passwd", "scheme"),
        ("https:///x", "no host"),
        ("https://me:secret@hooks.example/", "credential"),
        ("https://hooks.example:22/", "port"),
        ("https://hooks.example:99999/", "parsed"),
        ("https://[::1/", "parsed"),
        ("https://08.08.08.08/", "parsed"),  # the resolver takes it for octal, the sender for nothing
        ("https://a^b.hooks.example/", "more than one way"),
    ],
)
async def test_urls_beyond_the_policy_are_refused(url: str, why: str) -> None:
    """Only https, without credentials, on the ports that are allowed; the sentence says what is wrong."""
    with pytest.raises(Refused, match=why):
        await check_url(url, AddressPolicy(), answering("8.8.8.8"))


async def test_a_name_without_addresses_is_refused() -> None:
    """So is one that the resolver does not know."""
    with pytest.raises(Refused, match="no address"):
        await check_url("https://hooks.example/", AddressPolicy(), answering())

    async def unknown(_host: str, _port: int) -> Sequence[Address]:
        raise OSError("no such host")

    with pytest.raises(Refused, match="cannot be resolved"):
        await check_url("https://hooks.example/", AddressPolicy(), unknown)


async def test_settings_allow_more() -> None:
    """Plain http, other ports and this machine are each allowed by a setting of its own, and nothing else with them."""
    policy = AddressPolicy(http=True, ports=frozenset({8080}), loopback=True)
    target = await check_url("http://hooks.example:8080/", policy, answering("127.0.0.1"))
    assert target.port == 8080
    with pytest.raises(Refused):
        await check_url("http://hooks.example:8080/", policy, answering("169.254.169.254"))


async def test_names_that_are_never_answered_hold_up_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tenant whose name servers keep silent cannot take the threads that everything else needs."""
    answered = threading.Event()

    def silent(*_arguments: object, **_options: object) -> list[object]:
        answered.wait()
        raise OSError

    monkeypatch.setattr(socket, "getaddrinfo", silent)
    asked = [asyncio.create_task(check_url("https://hooks.example/", AddressPolicy())) for _ in range(64)]
    await asyncio.sleep(0)
    try:
        async with asyncio.timeout(10):
            assert await asyncio.to_thread(int, "1") == 1
    finally:
        answered.set()
    assert all(isinstance(refused, Refused) for refused in await asyncio.gather(*asked, return_exceptions=True))
