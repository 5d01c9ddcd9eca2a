from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from proxy.config import parse_config
from proxy.initial import Choices, Made, initialise
from proxy.preflight import examine


@pytest.fixture
async def made(tmp_path: Path) -> Made:
    return await initialise(tmp_path / "proxy", Choices())


def found(made: Made, settings: Mapping[str, Any] | None = None) -> tuple[list[str], list[str]]:
    findings = examine(parse_config(settings or {}, {}, folder=made.config.parent))
    errors = [finding.sentence for finding in findings if finding.is_error]
    warnings = [finding.sentence for finding in findings if not finding.is_error]
    assert all(sentence.endswith(".") and "\n" not in sentence for sentence in errors + warnings)
    return errors, warnings


def test_what_init_made_is_in_order(made: Made):
    assert found(made)[0] == []


def test_a_key_file_that_others_can_read_is_an_error(made: Made):
    made.key.chmod(0o644)
    (error,) = found(made)[0]
    assert "its mode must be 0600" in error


def test_a_missing_key_file_is_an_error(made: Made):
    made.key.unlink()
    (error,) = found(made)[0]
    assert "does not exist" in error


def test_a_damaged_key_file_is_an_error_that_repeats_nothing(made: Made):
    text = made.key.read_text()
    made.key.write_text(text.replace("seed", "sead"))
    (error,) = found(made)[0]
    assert "damaged" in error
    assert not any(word in error for word in text.split() if len(word) == 64)


def test_a_store_that_others_can_read_is_an_error(made: Made):
    assert made.store is not None
    made.store.chmod(0o640)
    (error,) = found(made)[0]
    assert "its mode must be 0600" in error


def test_a_missing_store_says_how_to_make_one(made: Made):
    assert made.store is not None
    made.store.unlink()
    (error,) = found(made)[0]
    assert "`accode-proxy init` makes one" in error


def test_an_audit_folder_that_is_a_file_is_an_error(made: Made):
    (error,) = found(made, {"audit": {"folder": str(made.config)}})[0]
    assert "is not a folder" in error


def test_a_certificate_without_its_file_is_an_error(made: Made):
    listener = {"tls_certificate": "none.crt", "tls_key": "none.key"}
    (error,) = found(made, {"listeners": [listener]})[0]
    assert "No such file" in error


def test_a_control_socket_that_the_system_cannot_hold_is_an_error(made: Made):
    (error,) = found(made, {"control": {"socket": "x" * 200}})[0]
    assert "longer than 107 bytes" in error


@pytest.mark.parametrize(
    ("listener", "words"),
    [
        ({"host": "0.0.0.0"}, "only clients on this machine can log in"),
        ({"host": "0.0.0.0", "plaintext": "always"}, "without TLS"),
    ],
)
def test_a_listener_for_others_without_tls_is_a_warning(
    made: Made, listener: dict[str, Any], words: str
):
    errors, warnings = found(made, {"listeners": [listener]})
    assert not errors
    assert any(words in warning for warning in warnings)


def test_the_key_file_beside_the_store_is_a_warning(made: Made):
    assert made.store is not None
    beside = made.store.parent / "local.key"
    made.key.rename(beside)
    errors, warnings = found(made, {"keys": {"file": str(beside)}})
    assert not errors
    assert any("one backup holds both" in warning for warning in warnings)


def test_more_sessions_than_open_files_is_a_warning(made: Made):
    warnings = found(made, {"limits": {"sessions": 1_000_000}})[1]
    assert any("open files" in warning for warning in warnings)
