"""Where a server that listens on an address is reached from its own machine."""

import pytest

from twinwright.addresses import from_here


@pytest.mark.parametrize(
    ("listens", "reached"),
    [
        ("127.0.0.1", "127.0.0.1:80"),
        ("0.0.0.0", "127.0.0.1:80"),
        ("::", "[::1]:80"),
        ("fd00::1", "[fd00::1]:80"),
        ("twins.lan", "twins.lan:80"),
    ],
)
def test_a_server_is_named_as_a_client_beside_it_writes_it(listens: str, reached: str) -> None:
    assert from_here(listens, 80) == reached
