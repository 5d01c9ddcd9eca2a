"""No secret is anywhere but in ciphertext, whatever the proxy was made to do."""

from __future__ import annotations

from tests.canary.town import Town


def test_no_secret_is_found_in_anything_that_was_emitted(town: Town):
    leaks = town.evidence.leaks(town.canaries())
    assert not leaks, "\n".join(leaks)


def test_what_was_searched_is_what_there_is(town: Town):
    """A search of nothing finds nothing: the captures must hold what they are named for."""
    text = town.evidence.text
    assert "Session opened" in text("audit search")
    assert "the data source accepted the stored credential" in text("source test").lower()
    assert "accode_proxy_sessions" in text("GET /metrics")
    assert "serve_proxy" in text("/proc/PID/cmdline")
    for name, landmark in town.landmarks.items():
        assert landmark in text(name), name
    assert "password authentication failed" in text("bytes to the client")
    assert '"event": "session refused"' in text("files/proxy.log")
    assert "Intact" in text("audit verify")
    names = " ".join(town.evidence.names)
    for part in (
        "files/audit/audit-",
        "files/audit/journal",
        "files/accode.toml",
        "control session",
    ):
        assert part in names, part
    assert all(name.startswith(town.proxy.folder.name) for name in town.evidence.names)


def test_no_core_is_ever_written(town: Town):
    limit = next(
        line for line in town.evidence.text("/proc/PID/limits").splitlines() if "core file" in line
    )
    assert limit.split()[4:6] == ["0", "0"]
    assert not list(town.proxy.folder.rglob("core*"))
