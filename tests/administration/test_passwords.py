from __future__ import annotations

import asyncio
import json
import logging
import pickle
import pprint
import threading
import traceback
from typing import Any

import pytest
from argon2 import PasswordHasher, extract_parameters
from argon2.profiles import RFC_9106_LOW_MEMORY

from proxy.administration.passwords import (
    AT_ONCE,
    WAITING,
    Password,
    Passwords,
    TooManyHashes,
)
from proxy.store import InvalidSetting

RIGHT = Password("seven green kites")


def cheap() -> Passwords:
    return Passwords(PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))


async def test_a_hash_is_of_rfc_9106s_parameters_and_of_argon2id():
    kept = await Passwords().hash(RIGHT)
    assert extract_parameters(kept) == RFC_9106_LOW_MEMORY
    assert kept.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    assert len(kept) <= 255
    # Checked by the parameters it was made with, whatever they are now.
    assert await cheap().is_right(kept, RIGHT)


async def test_a_password_is_right_or_not():
    passwords = cheap()
    kept = await passwords.hash(RIGHT)
    assert kept != await passwords.hash(RIGHT)
    assert await passwords.is_right(kept, RIGHT)
    assert not await passwords.is_right(kept, Password("seven green kite"))
    assert not await passwords.is_right("not a hash", RIGHT)


async def test_nobodys_password_is_never_right():
    passwords = cheap()
    assert not await passwords.is_right(None, RIGHT)
    assert not await passwords.is_right(None, Password("nobody has this password"))


async def test_one_password_however_a_keyboard_composes_it():
    passwords = cheap()
    kept = await passwords.hash(Password("señor of the kites"))
    assert await passwords.is_right(kept, Password("sen\u0303or of the kites"))


class _Waiting(PasswordHasher):
    """A hasher that works until it is let go, and counts who is at it."""

    def __init__(self) -> None:
        super().__init__(time_cost=1, memory_cost=8, parallelism=1)
        self.go_on = threading.Event()
        self.is_held = False
        self.most = self.now = 0
        self.lock = threading.Lock()

    def hash(self, *arguments: Any, **named: Any) -> str:
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)
        if self.is_held:
            assert self.go_on.wait(30)
        try:
            return super().hash(*arguments, **named)
        finally:
            with self.lock:
                self.now -= 1


async def test_hashes_are_bounded_at_once_and_in_waiting_and_the_loop_goes_on():
    hasher = _Waiting()
    passwords = Passwords(hasher)
    hasher.is_held = True
    tasks = [asyncio.ensure_future(passwords.hash(RIGHT)) for _ in range(AT_ONCE + WAITING)]
    # One turn of the loop, in which all of them ask: the loop is not what works.
    await asyncio.sleep(0)
    with pytest.raises(TooManyHashes):
        await passwords.hash(RIGHT)
    hasher.go_on.set()
    assert len(set(await asyncio.gather(*tasks))) == AT_ONCE + WAITING
    assert hasher.most <= AT_ONCE
    assert await passwords.hash(RIGHT)


@pytest.mark.parametrize(
    "wrong", ["", "short", "elevenchars", "x" * 257, "abababababab", "ada and her kites"]
)
def test_a_password_has_limits(wrong: str):
    with pytest.raises(InvalidSetting) as raised:
        Password(wrong).check("ada")
    assert raised.value.field == "password"
    assert not wrong or wrong not in str(raised.value)


def test_a_password_within_the_limits():
    for right in ("seven green kites", "x" * 250 + "abcdef"):
        Password(right).check("ada")


def test_a_password_shows_itself_nowhere_and_has_no_door(caplog: pytest.LogCaptureFixture):
    logging.getLogger("test").warning("password %s %r", RIGHT, RIGHT)
    shown = [repr(RIGHT), str(RIGHT), f"{RIGHT:>40}", pprint.pformat([RIGHT]), caplog.text]
    shown.append(json.dumps([RIGHT], default=str))
    assert not [text for text in shown if "kites" in text]
    assert not hasattr(RIGHT, "__dict__")
    assert [name for name in dir(RIGHT) if not name.startswith("_")] == [
        "check",
        "hashed_by",
        "is_kept_as",
    ]
    for refused in (pickle.dumps, json.dumps, hash, copy_of_state):
        with pytest.raises(TypeError) as raised:
            refused(RIGHT)
        assert "kites" not in "".join(traceback.format_exception(raised.value))
    with pytest.raises(AttributeError, match="cannot be changed"):
        RIGHT.text = ""


def copy_of_state(password: Password) -> object:
    return password.__getstate__()
