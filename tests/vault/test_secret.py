from __future__ import annotations

import copy
import json
import logging
import pickle
import pprint
import traceback
from dataclasses import asdict, dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vault.secret import Secret

CANARY = b"canary-4f1d9a"


def test_reveal_gives_the_value():
    assert Secret(CANARY).reveal() == CANARY


@pytest.mark.parametrize(
    "shown",
    [
        repr(Secret(CANARY)),
        str(Secret(CANARY)),
        f"{Secret(CANARY)}",
        f"{Secret(CANARY)!r:>40}",
        f"{Secret(CANARY):>40}",
        "%s %r" % (Secret(CANARY), Secret(CANARY)),  # noqa: UP031
        f"{Secret(CANARY):x}",
        pprint.pformat([Secret(CANARY)]),
        json.dumps({"secret": Secret(CANARY)}, default=str),
        repr({"key": [Secret(CANARY)]}),
    ],
)
def test_no_way_of_printing_shows_the_value(shown: str):
    assert "canary" not in shown
    assert "redacted" in shown


def test_a_log_line_does_not_show_the_value(caplog: pytest.LogCaptureFixture):
    logging.getLogger("test").warning("secret %s %r", Secret(CANARY), Secret(CANARY))
    assert "canary" not in caplog.text


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_it_is_not_pickled(protocol: int):
    with pytest.raises(TypeError, match="cannot be serialized") as caught:
        pickle.dumps(Secret(CANARY), protocol=protocol)
    assert "canary" not in "".join(traceback.format_exception(caught.value))


def test_it_is_no_json():
    with pytest.raises(TypeError) as caught:
        json.dumps({"secret": Secret(CANARY)})
    assert "canary" not in str(caught.value)


def test_it_has_no_state_to_walk():
    secret = Secret(CANARY)
    assert not hasattr(secret, "__dict__")
    with pytest.raises(TypeError):
        secret.__getstate__()
    with pytest.raises(TypeError):
        bytes(secret)  # type: ignore[call-overload]
    with pytest.raises(TypeError):
        iter(secret)  # type: ignore[call-overload]


def test_a_copy_is_as_closed_as_the_original():
    @dataclass
    class Holder:
        secret: Secret

    secret = Secret(CANARY)
    assert copy.copy(secret) is secret
    assert copy.deepcopy(secret) is secret
    assert "canary" not in repr(asdict(Holder(secret)))


def test_it_cannot_be_changed():
    secret = Secret(CANARY)
    with pytest.raises(AttributeError):
        secret.other = b""
    with pytest.raises(AttributeError):
        setattr(secret, "_Secret__value", b"")  # noqa: B010
    with pytest.raises(AttributeError):
        delattr(secret, "_Secret__value")
    assert secret.reveal() == CANARY


def test_it_is_not_hashable():
    with pytest.raises(TypeError, match="unhashable"):
        {Secret(CANARY)}


@given(st.binary(), st.binary())
def test_equality_is_the_equality_of_the_values(left: bytes, right: bytes):
    assert (Secret(left) == Secret(right)) is (left == right)
    assert Secret(left) == Secret(left)


def test_it_equals_nothing_of_another_type():
    assert Secret(CANARY) != CANARY
    assert Secret(CANARY) != CANARY.decode()


@pytest.mark.parametrize("value", ["canary-4f1d9a", bytearray(CANARY), None])
def test_only_bytes_make_one_and_the_error_does_not_repeat_the_value(value: object):
    with pytest.raises(TypeError) as caught:
        Secret(value)  # type: ignore[arg-type]
    assert str(caught.value) == "a Secret is made of bytes"
