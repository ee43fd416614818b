"""The keyed hash of a client's network."""

import pytest

from expert_booking.domain.client_network import network_hash

SECRET = "a secret for the tests only"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("192.0.2.7", "::ffff:192.0.2.7"),
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff"),
        ("fe80::1%eth0", "fe80::2%eth1"),
    ],
)
def test_addresses_of_one_network_have_one_hash(one: str, other: str) -> None:
    assert network_hash(one, SECRET) == network_hash(other, SECRET)


def test_other_networks_and_invalid_addresses_have_other_hashes() -> None:
    addresses = (
        "192.0.2.7",
        "192.0.2.8",
        "2001:db8:1:2::1",
        "2001:db8:1:3::1",
        "",
        "testclient",
        "192.0.2.7.",
        "\ud800",
    )
    assert len({network_hash(address, SECRET) for address in addresses}) == len(addresses)


def test_hash_cannot_be_reversed_without_the_secret() -> None:
    assert network_hash("192.0.2.7", SECRET) != network_hash("192.0.2.7", "another secret")
    assert b"192.0.2.7" not in network_hash("192.0.2.7", SECRET)
    assert len(network_hash("192.0.2.7", SECRET)) == 32
