from __future__ import annotations

import socket
from pathlib import Path

import pytest

from proxy.config import ListenerConfig
from proxy.dsn import dsn


def test_a_dsn_names_workspace_token_and_source():
    assert dsn(ListenerConfig(), "finance", "acp_x", "orders") == (
        "postgresql://finance:acp_x@127.0.0.1:6432/orders"
    )


def test_where_the_listener_has_tls_the_client_is_told_to_use_it():
    listener = ListenerConfig(tls_certificate=Path("a"), tls_key=Path("b"))
    assert dsn(listener, "w", "t", "s").endswith("/s?sslmode=require")


@pytest.mark.parametrize(
    ("host", "shown"),
    [
        ("::1", "[::1]"),
        ("10.0.0.1", "10.0.0.1"),
        ("proxy.example.com", "proxy.example.com"),
        ("0.0.0.0", socket.gethostname()),
        ("::", socket.gethostname()),
    ],
)
def test_the_host_is_one_that_can_be_dialled(host: str, shown: str):
    assert f"@{shown}:6432/" in dsn(ListenerConfig(host=host), "w", "t", "s")


def test_the_real_port_is_shown_where_the_listener_took_a_free_one():
    assert ":41000/" in dsn(ListenerConfig(port=0), "w", "t", "s", port=41_000)
