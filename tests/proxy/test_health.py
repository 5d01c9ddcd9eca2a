from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from proxy.health import HealthServer, Probes
from proxy.metrics import Metrics, new_registry
from proxy.sockets import PortError


class Facts:
    """What the probes say, to be changed by a test."""

    def __init__(self) -> None:
        self.is_alive = True
        self.audit: str | None = None
        self.is_broken = False

    def readiness_of_audit(self) -> str | None:
        if self.is_broken:
            raise RuntimeError("a bug in a probe")
        return self.audit


@contextmanager
def served(facts: Facts | None = None) -> Iterator[HealthServer]:
    facts = facts or Facts()
    probes = Probes(
        is_alive=lambda: facts.is_alive,
        readiness={"listeners": lambda: None, "audit": facts.readiness_of_audit},
    )
    server = HealthServer("127.0.0.1", 0, probes, new_registry(Metrics()))
    server.start()
    try:
        yield server
    finally:
        server.stop()


def exchange(server: HealthServer, request: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", server.port), timeout=40) as connection:
        connection.sendall(request)
        received = b""
        # A server that closes before it has read all that was sent resets the connection.
        with suppress(ConnectionResetError):
            while piece := connection.recv(65_536):
                received += piece
    return received


def get(server: HealthServer, path: str, headers: str = "") -> tuple[int, dict[str, str], bytes]:
    answer = exchange(server, f"GET {path} HTTP/1.1\r\nHost: x\r\n{headers}\r\n".encode())
    head, _, body = answer.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    fields = dict(line.split(": ", 1) for line in lines[1:])
    assert int(fields["Content-Length"]) == len(body)
    assert fields["Connection"] == "close"
    return int(lines[0].split()[1]), {key.lower(): text for key, text in fields.items()}, body


def test_metrics_are_served_in_prometheus_text():
    with served() as server:
        status, headers, body = get(server, "/metrics")
    assert status == 200
    assert headers["content-type"].startswith("text/plain; version=")
    assert b"accode_proxy_sessions{" in body


def test_openmetrics_is_served_to_who_asks_for_it():
    with served() as server:
        _, headers, body = get(
            server, "/metrics", "Accept: application/openmetrics-text; version=1.0.0\r\n"
        )
    assert headers["content-type"].startswith("application/openmetrics-text")
    assert body.endswith(b"# EOF\n")


def test_healthz_is_about_the_event_loop():
    facts = Facts()
    with served(facts) as server:
        assert get(server, "/healthz")[0] == 200
        facts.is_alive = False
        assert get(server, "/healthz")[0] == 503


def test_readyz_gives_each_reason_in_a_sentence():
    facts = Facts()
    with served(facts) as server:
        status, headers, body = get(server, "/readyz")
        assert (status, headers["content-type"]) == (200, "application/json")
        assert json.loads(body) == {"ready": True, "checks": {"listeners": "ok", "audit": "ok"}}
        facts.audit = "The audit log cannot be written."
        status, _, body = get(server, "/readyz?verbose=1")
    assert status == 503
    assert json.loads(body) == {
        "ready": False,
        "checks": {"listeners": "ok", "audit": "The audit log cannot be written."},
    }


def test_a_probe_that_breaks_is_an_answer_and_not_a_dead_port():
    facts = Facts()
    facts.is_broken = True
    with served(facts) as server:
        status, _, body = get(server, "/readyz")
        assert status == 500
        assert b"bug" not in body
        assert get(server, "/healthz")[0] == 200


def test_head_has_the_length_and_no_body():
    with served() as server:
        answer = exchange(server, b"HEAD /healthz HTTP/1.1\r\n\r\n")
    assert b"Content-Length: 6\r\n" in answer
    assert answer.endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"POST /metrics HTTP/1.1\r\nContent-Length: 0\r\n\r\n", 405),
        (b"DELETE / HTTP/1.1\r\n\r\n", 405),
        (b"GET / HTTP/1.1\r\n\r\n", 404),
        (b"GET /metrics/../etc HTTP/1.1\r\n\r\n", 404),
        (b"GET /metrics\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00 \r\n\r\n", 400),
        (b"GET /metrics HTTP/2.0\r\n\r\n", 400),
        (b"GET /metrics HTTP/1.1\r\nX: " + b"a" * 9_000 + b"\r\n\r\n", 431),
    ],
)
def test_what_is_no_request_of_ours_is_refused(request_bytes: bytes, status: int):
    with served() as server:
        assert exchange(server, request_bytes).startswith(f"HTTP/1.1 {status} ".encode())


def test_a_client_that_says_nothing_keeps_nobody_else_waiting():
    with served() as server:
        silent = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(20)]
        assert get(server, "/healthz")[0] == 200
        for connection in silent:
            connection.close()


def test_a_client_that_goes_in_the_middle_disturbs_nobody():
    with served() as server:
        with socket.create_connection(("127.0.0.1", server.port)) as connection:
            connection.sendall(b"GET /metr")
        assert get(server, "/healthz")[0] == 200


def test_a_taken_port_is_one_clear_sentence():
    with served() as server, pytest.raises(PortError) as caught:
        HealthServer("127.0.0.1", server.port, Probes(lambda: True, {}), new_registry(Metrics()))
    assert str(caught.value) == (
        f"metrics cannot listen on 127.0.0.1:{server.port}: another program has taken the port; "
        "set metrics.port to another."
    )


def test_stopping_twice_and_before_the_start_is_harmless():
    server = HealthServer("127.0.0.1", 0, Probes(lambda: True, {}), new_registry(Metrics()))
    server.stop()
    with served() as other:
        other.stop()
