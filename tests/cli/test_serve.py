"""The program itself: real processes, real ports, real signals."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import urllib.request

import pytest

from proxy.sockets import bind_tcp
from tests.cli.conftest import CommandLine
from tests.cli.serving import ENVIRONMENT, PROGRAM, serving
from tests.servers.ports import free_port


def refused(line: CommandLine, *arguments: str) -> str:
    """Start a proxy that must not start: exit code 1 and one sentence, and no traceback."""
    done = subprocess.run(
        [*PROGRAM, "serve", "--config", str(line.file), "--workers", "1", *arguments],
        capture_output=True,
        timeout=60,
        check=False,
        env=ENVIRONMENT,
        text=True,
    )
    assert done.returncode == 1, done.stderr
    assert done.stdout == ""
    (sentence,) = [text for text in done.stderr.splitlines() if not text.startswith("{")]
    assert sentence.startswith("Error: ")
    return sentence.removeprefix("Error: ")


def test_it_serves_until_it_is_told_to_stop_and_leaves_a_whole_log(finance: CommandLine):
    with serving(finance) as served:
        finance.ok("audit", "verify")
        served.process.send_signal(signal.SIGTERM)
        assert served.process.wait(45) == 0
    events = [entry["event"] for entry in served.events()]
    assert events[-1] == "stopped"
    finance.ok("audit", "verify")
    messages = [json.loads(r) for r in finance.ok("audit", "search", "--json").splitlines()]
    lifecycle = [
        r["activity_id"]
        for r in messages
        if r["class_uid"] == 6002 and "chain" not in r["unmapped"]
    ]
    assert lifecycle == [3, 4]


def test_several_workers_are_one_proxy_to_the_command_line(finance: CommandLine):
    with serving(finance, "--workers", "2") as served:
        assert finance.ok("session", "list").strip() == "There are no open sessions."
        assert "no session" in finance.refused("session", "kill", "12345", "--yes")
        token = finance.value("token", "create", "finance")
        finance.ok("token", "revoke", "finance", token["id"], "--yes")
        finance.ok("audit", "verify")
        served.process.send_signal(signal.SIGTERM)
        assert served.process.wait(45) == 0
    events = [entry["event"] for entry in served.events()]
    assert events.count("worker started") == 2
    assert events[-1] == "stopped"
    shown = finance.ok("audit", "verify")
    assert shown.count("Intact: ") == 2
    newest = shown.split("worker-1: Newest: ")[1].split()[0]
    assert newest.startswith("worker-1/")
    finance.ok("audit", "verify", "--expect", newest)
    wrong = newest.split(":")[0] + ":" + "0" * 64
    sentence = finance.refused("audit", "verify", "--expect", wrong)
    assert sentence.startswith("The audit log is damaged: worker-1: ")
    value = finance.value("audit", "verify")
    assert value["is_intact"] is True
    assert list(value["chains"]) == ["worker-1"]


@pytest.mark.parametrize("name", ["keys/local.key", "data/accode.db"])
def test_what_keeps_a_worker_from_starting_keeps_the_proxy_from_it(line: CommandLine, name: str):
    (line.folder / name).chmod(0o644)
    sentence = refused(line, "--workers", "2")
    assert "its mode must be 0600" in sentence
    assert name in sentence


def test_a_second_proxy_of_several_workers_is_refused(line: CommandLine):
    with serving(line, "--workers", "2"):
        sentence = refused(line, "--workers", "2")
        assert "Another proxy with this configuration is running" in sentence
        assert "in use by another process" in refused(line)


def test_while_it_runs_the_command_line_hands_it_the_records(line: CommandLine):
    with serving(line):
        line.ok("workspace", "create", "finance")
        token = line.value("token", "create", "finance")
        line.ok("token", "revoke", "finance", token["id"], "--yes")
        assert line.ok("session", "list").strip() == "There are no open sessions."
        assert "no session" in line.refused("session", "kill", "12345", "--yes")
        assert [r["class_uid"] for r in line.records()] == [
            3004, 3004, 3001, 3001, 3001, 3001, 3004, 3004,
        ]  # fmt: skip
        # The audit folder is held by one writer: the serving proxy.
        assert len(list((line.folder / "audit").glob("audit-*.jsonl"))) == 1
        line.ok("audit", "verify")


def test_without_a_running_proxy_sessions_cannot_be_asked_for(line: CommandLine):
    assert line.refused("session", "list").startswith("No proxy is running here")


def test_metrics_and_health_are_on_their_own_port(line: CommandLine):
    port = free_port()
    metrics = '[metrics]\nhost = "127.0.0.1"\nport = '
    text = line.file.read_text()
    assert f"{metrics}0" in text
    line.file.write_text(text.replace(f"{metrics}0", f"{metrics}{port}"))
    with serving(line):
        for path in ("metrics", "healthz", "readyz"):
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}", timeout=40) as answer:
                assert answer.status == 200


def test_a_second_proxy_with_the_same_configuration_is_refused(line: CommandLine):
    with serving(line):
        assert "in use by another process" in refused(line)


def test_a_taken_port_is_one_sentence(line: CommandLine):
    with bind_tcp("127.0.0.1", 0, "test") as taken:
        port = taken.getsockname()[1]
        text = line.file.read_text().replace("port = 0", f"port = {port}", 1)
        line.file.write_text(text)
        assert refused(line) == (
            f"listeners.0 cannot listen on 127.0.0.1:{port}: another program has taken the port; "
            "set listeners.0.port to another."
        )


def test_a_taken_metrics_port_is_one_sentence(line: CommandLine):
    with bind_tcp("127.0.0.1", 0, "test") as taken:
        port = taken.getsockname()[1]
        head, _, tail = line.file.read_text().rpartition("port = 0")
        line.file.write_text(f"{head}port = {port}{tail}")
        assert refused(line) == (
            f"Metrics cannot listen on 127.0.0.1:{port}: another program has taken the port; "
            "set metrics.port to another."
        )


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("keys/local.key", "its mode must be 0600"),
        ("data/accode.db", "its mode must be 0600"),
        ("tls/listener.key", "its mode must be 0600"),
    ],
)
def test_a_secret_file_with_a_wrong_mode_is_one_sentence(line: CommandLine, name: str, words: str):
    (line.folder / name).chmod(0o644)
    sentence = refused(line)
    assert words in sentence
    assert name in sentence


@pytest.mark.parametrize("name", ["keys/local.key", "data/accode.db", "tls/listener.crt"])
def test_a_missing_file_is_one_sentence(line: CommandLine, name: str):
    (line.folder / name).unlink()
    assert name in refused(line)


def test_an_unknown_variable_is_one_sentence(line: CommandLine):
    done = subprocess.run(
        [*PROGRAM, "serve", "--config", str(line.file)],
        capture_output=True,
        timeout=60,
        check=False,
        env={**ENVIRONMENT, "ACCODE_PROXY_LIMITS__SESION": "1"},
        text=True,
    )
    assert done.returncode == 1
    assert done.stderr == (
        "Error: The environment: ACCODE_PROXY_LIMITS__SESION is not a setting; "
        "the nearest one is ACCODE_PROXY_LIMITS__SESSIONS.\n"
    )


def test_the_listener_it_announces_is_open(line: CommandLine):
    with (
        serving(line) as served,
        socket.create_connection(("127.0.0.1", served.port), timeout=40) as connection,
    ):
        # SSLRequest: length 8, code 80877103; the answer is one byte.
        connection.sendall(bytes.fromhex("0000000804d2162f"))
        assert connection.recv(1) == b"S"
