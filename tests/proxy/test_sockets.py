from __future__ import annotations

import pytest

from proxy.sockets import PortError, bind_group, bind_tcp


def test_port_zero_picks_a_free_one():
    with bind_tcp("127.0.0.1", 0, "listeners") as sock:
        assert sock.getsockname()[1] > 0
        assert sock.getblocking() is False


def test_a_taken_port_says_which_and_for_what():
    with bind_tcp("127.0.0.1", 0, "metrics") as sock:
        port = sock.getsockname()[1]
        with pytest.raises(PortError) as caught:
            bind_tcp("127.0.0.1", port, "listeners.1")
    assert str(caught.value) == (
        f"listeners.1 cannot listen on 127.0.0.1:{port}: another program has taken the port; "
        "set listeners.1.port to another."
    )


def test_an_address_of_another_machine_is_refused():
    with pytest.raises(PortError, match="this machine does not have that address"):
        bind_tcp("192.0.2.1", 0, "listeners")


def test_an_unknown_host_is_refused():
    with pytest.raises(PortError, match="the host is not known on this machine"):
        bind_tcp("no-such-host.invalid", 0, "listeners")


def test_a_group_shares_one_port_and_lets_nobody_else_in():
    group = bind_group("127.0.0.1", 0, "listeners", 3)
    try:
        port = group[0].getsockname()[1]
        assert [sock.getsockname()[1] for sock in group] == [port] * 3
        for count in (1, 2):
            with pytest.raises(PortError, match="another program has taken the port"):
                bind_group("127.0.0.1", port, "listeners", count)
    finally:
        for sock in group:
            sock.close()


def test_a_port_that_one_has_is_closed_to_a_group():
    with (
        bind_tcp("127.0.0.1", 0, "metrics") as taken,
        pytest.raises(PortError, match="another program has taken the port"),
    ):
        bind_group("127.0.0.1", taken.getsockname()[1], "listeners", 2)
