"""Which addresses may be asked: a list by hand, and Python's own opinion as an oracle."""

import ipaddress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tools.web.addresses import is_public

REFUSED = """
127.0.0.1 127.255.255.254 0.0.0.0 0.1.2.3 10.0.0.1 172.16.0.1 172.31.255.255 192.168.1.1 169.254.169.254 169.254.170.2
100.64.0.1 100.100.100.200 100.127.255.255 192.0.0.192 192.0.2.1 198.18.0.1 198.19.255.255 198.51.100.7 203.0.113.9
192.88.99.1 168.63.129.16 224.0.0.1 239.255.255.250 240.0.0.1 255.255.255.255
:: ::1 fe80::1 febf::1 fec0::1 fc00::1 fd00:ec2::254 fd20:ce::254 ff02::1 2001:db8::1 2001::1 2001:0:4136:e378::1
2002:7f00:1:: 2002:a00:1::1 2002:0808:0808::1 3fff::1 100::1 5f00::1 ::127.0.0.1 ::8.8.8.8 ::ffff:127.0.0.1
::ffff:169.254.169.254 ::ffff:8.8.8.8 ::ffff:0:8.8.8.8 64:ff9b::7f00:1 64:ff9b::a9fe:a9fe 64:ff9b::a00:1 64:ff9b:1::1
fe80::1%eth0 2606:4700::1%eth0
127.1 127.0.1 2130706433 0x7f000001 0x7f.0.0.1 0177.0.0.1 017700000001 127.0.0.1. 1.2.3 256.1.1.1 localhost
"""
ALLOWED = """
93.184.216.34 8.8.8.8 1.1.1.1 172.15.255.255 172.32.0.1 100.63.255.255 100.128.0.1 169.253.0.1 192.0.1.1 11.0.0.1
198.17.0.1 198.20.0.1 223.255.255.255 168.63.129.15 2606:4700:4700::1111 2a00:1450:4001:80b::200e 64:ff9b::808:808
"""
GLOBAL_BUT_REFUSED = [
    ipaddress.ip_network(network)
    for network in ("168.63.129.16/32", "192.0.0.0/24", "192.88.99.0/24", "2001::/23", "2002::/16", "3fff::/20")
]


@pytest.mark.parametrize(
    "address", [*REFUSED.split(), "", " 8.8.8.8", "8.8.8.8 ", "8.8.8.8/32", "８.8.8.8", "::ffff:8.8.8.8%1"]
)
def test_refused(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ALLOWED.split())
def test_allowed(address: str) -> None:
    assert is_public(address)


def check_against_python(ip: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    inward = ip.is_private or ip.is_loopback or ip.is_link_local or ip.is_multicast or ip.is_reserved
    if is_public(str(ip)):
        assert ip.is_global
        assert not any((inward, ip.is_unspecified, getattr(ip, "is_site_local", False)))
        assert getattr(ip, "ipv4_mapped", None) is getattr(ip, "sixtofour", None) is getattr(ip, "teredo", None) is None
    elif ip.version == 4 or ip in ipaddress.ip_network("2000::/3"):
        assert inward or not ip.is_global or any(ip in network for network in GLOBAL_BUT_REFUSED)


@settings(max_examples=1000)
@given(st.ip_addresses(v=4))
def test_ipv4_agrees_with_python(ip: ipaddress.IPv4Address) -> None:
    check_against_python(ip)


@settings(max_examples=1000)
@given(st.one_of(st.ip_addresses(v=6), st.ip_addresses(v=6, network="2000::/3"), st.ip_addresses(v=6, network="::/8")))
def test_ipv6_agrees_with_python(ip: ipaddress.IPv6Address) -> None:
    if ip not in ipaddress.ip_network("64:ff9b::/96"):
        check_against_python(ip)


@given(st.ip_addresses(v=4))
def test_no_ipv4_address_gets_in_as_ipv6(ip: ipaddress.IPv4Address) -> None:
    number = int(ip)
    assert is_public(str(ipaddress.IPv6Address((0x64FF9B << 96) | number))) == is_public(str(ip))
    for disguise in (number, (0xFFFF << 32) | number, (0xFFFF << 48) | number, (0x2002 << 112) | (number << 80)):
        assert not is_public(str(ipaddress.IPv6Address(disguise)))
