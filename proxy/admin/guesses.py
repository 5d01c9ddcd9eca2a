"""Who may try to log in now: guessing is slow, and nobody can lock another one out.

An account that is locked after so many failures is a weapon: whoever knows a name keeps its
owner out. So no account is ever locked. What is bounded is strangers, by what they cannot
choose (OWASP, "Slow Down Online Guessing Attacks with Device Cookies"):

- A **device** that its account has logged in from holds a device token, which each login
  renews. It has a bucket of its own for that account, so whatever others do, it may try.
- **Strangers** have a bucket for each address and account, one for each account over all
  addresses, and one for all of them together. A name that does not exist has the same.

An attacker who empties an account's bucket of strangers keeps out only its owner's *new*
devices, for as long as the attack goes on. The bucket of all strangers makes it slow to push
another bucket out of memory by asking for ten thousand names.

A device token is no credential: it proves nothing but that this device may try. It is a MAC
over the account's name, a random number and its end, so nothing of it is stored.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import os
from collections.abc import Callable
from datetime import datetime, timedelta
from hashlib import sha256

from proxy.admin.rates import Answer, Rates

PREFIX = "acd_"
LIFETIME = timedelta(days=90)
"""How long a device is known without a login from it."""
_PURPOSE = b"accode-proxy device 1\0"
_NONCE = 16
_LENGTH = _NONCE + 8 + 32

PER_DEVICE = 4
PER_STRANGER = 4
PER_ACCOUNT = 6
OF_ALL_STRANGERS = 120
"""Tries a minute, each with a burst of ten, the last of twelve. Against one account that is
8,640 guesses a day, each of a password and a code at once.
"""


class Guesses:
    """``key``: 32 bytes that only the proxies of one key file have."""

    def __init__(
        self, key: bytes, clock: Callable[[], float], entropy: Callable[[int], bytes] = os.urandom
    ) -> None:
        self._key = key
        self._clock = clock
        self._entropy = entropy
        self._devices = Rates(PER_DEVICE)
        self._pairs = Rates(PER_STRANGER)
        self._accounts = Rates(PER_ACCOUNT)
        self._strangers = Rates(OF_ALL_STRANGERS)

    def take(self, name: str, address: str, device: str | None, now: datetime) -> Answer:
        """Ask for one try at an account, which need not exist."""
        moment, account = self._clock(), sha256(name.encode()).hexdigest()
        nonce = self._device_of(name, device, now)
        if nonce is not None:
            return self._devices.take(f"{account} {nonce}", moment)
        # The narrowest first: who is turned away there takes nothing from the others.
        for rates, bucket in (
            (self._pairs, f"{account} {address}"),
            (self._accounts, account),
            (self._strangers, ""),
        ):
            answer = rates.take(bucket, moment)
            if answer.wait:
                return answer
        return Answer(0)

    def take_again(self, name: str, session_id: str) -> Answer:
        """Ask for one try at one's own password, in a session."""
        account = sha256(name.encode()).hexdigest()
        return self._devices.take(f"{account} {session_id}", self._clock())

    def new_device(self, name: str, now: datetime) -> str:
        """A device token for who has just proved both factors."""
        ends = int((now + LIFETIME).timestamp()).to_bytes(8, "big")
        body = self._entropy(_NONCE) + ends
        return PREFIX + base64.urlsafe_b64encode(body + self._mac(name, body)).decode()

    def _device_of(self, name: str, token: str | None, now: datetime) -> str | None:
        if token is None or not token.startswith(PREFIX):
            return None
        try:
            raw = base64.b64decode(token[len(PREFIX) :], altchars=b"-_", validate=True)
        except (ValueError, binascii.Error):
            return None
        body, mac = raw[:-32], raw[-32:]
        if len(raw) != _LENGTH or not hmac.compare_digest(mac, self._mac(name, body)):
            return None
        if int.from_bytes(body[_NONCE:], "big") <= now.timestamp():
            return None
        return body[:_NONCE].hex()

    def _mac(self, name: str, body: bytes) -> bytes:
        return hmac.digest(self._key, _PURPOSE + name.encode() + b"\0" + body, "sha256")
