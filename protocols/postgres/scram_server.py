"""SCRAM-SHA-256 as the server: a client's proof against many verifiers at once.

Pure: messages in, messages out. Knows the grammar and PostgreSQL's strictness
(auth-scram.c); must never know a token, nor tell a stranger whether a workspace exists:
a fake set of verifiers takes the same path to the same end.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass

from protocols.errors import PeerViolation, Reason, Refusal
from protocols.postgres.scram import (
    BINDING_HEADER,
    KEY_LENGTH,
    MALFORMED,
    decode_base64,
    encode_base64,
    is_nonce,
    read_attribute,
    sign,
    xor,
)
from protocols.verifiers import TokenVerifier, TokenVerifiers

_WRONG_AUTHORIZATION = "28000"
"""invalid_authorization_specification: PostgreSQL's code for a failed channel binding."""


@dataclass(frozen=True, slots=True)
class Proven:
    """A login that one token proved, and the server's last message for it."""

    token_id: str
    server_final: bytes


class ScramServer:
    """One exchange: ``first`` once, then ``final`` once.

    ``nonce`` is our printable part of it. ``binding`` is our certificate's
    tls-server-end-point, or None where we did not offer SCRAM-SHA-256-PLUS; ``is_plus``
    tells that the client chose it.
    """

    def __init__(
        self, verifiers: TokenVerifiers, nonce: bytes, binding: bytes | None, is_plus: bool
    ) -> None:
        self._verifiers = verifiers
        self._server_nonce = nonce
        self._binding = binding
        self._is_plus = is_plus
        self._header = b""
        self._nonce = b""
        self._client_first_bare = b""
        self._server_first = b""

    def first(self, message: bytes) -> bytes:
        """Read client-first-message, answer server-first-message.

        The user name in it is ignored: the start-up packet has told it already. Raises
        PeerViolation, and Refusal where the client was led to believe that we cannot
        bind to the channel (the downgrade that flag ``y`` exists to detect).
        """
        _check_text(message)
        rest = self._read_flag(message)
        if rest[:1] == b"a":
            raise PeerViolation("client uses authorization identity, but it is not supported")
        if rest[:1] != b",":
            raise PeerViolation(f"{MALFORMED}: unexpected attribute in client-first-message")
        bare = rest[1:]
        if bare[:1] == b"m":
            raise PeerViolation("client requires an unsupported SCRAM extension")
        _, rest = read_attribute(bare, b"n")
        client_nonce, rest = read_attribute(rest, b"r")
        if not is_nonce(client_nonce):
            raise PeerViolation("non-printable characters in SCRAM nonce")
        _skip_extensions(rest)
        self._header = message[: len(message) - len(bare)]
        self._client_first_bare = bare
        self._nonce = client_nonce + self._server_nonce
        self._server_first = b"r=%b,s=%b,i=%d" % (
            self._nonce,
            encode_base64(self._verifiers.salt),
            self._verifiers.iterations,
        )
        return self._server_first

    def final(self, message: bytes) -> Proven | None:
        """Read client-final-message: what it proved, or None for a wrong password.

        Raises PeerViolation, and Refusal where the client sees another certificate than
        ours (somebody stands between).
        """
        _check_text(message)
        bound, rest = read_attribute(message, b"c")
        self._check_binding(bound)
        nonce, rest = read_attribute(rest, b"r")
        if not hmac.compare_digest(nonce, self._nonce):
            raise PeerViolation("invalid SCRAM response: nonce does not match")
        while rest and rest[:1] != b"p":
            rest = _skip_attribute(rest)
        proof_text, garbage = read_attribute(rest, b"p")
        if garbage or message.endswith(b","):
            raise PeerViolation(f"{MALFORMED}: garbage at the end of client-final-message")
        proof = decode_base64(proof_text, "the proof")
        if len(proof) != KEY_LENGTH:
            raise PeerViolation(f"{MALFORMED}: the proof has a wrong length")
        without_proof = message[: len(message) - len(rest) - 1]
        auth_message = b",".join((self._client_first_bare, self._server_first, without_proof))
        entry = self._find(proof, auth_message)
        if entry is None or not self._verifiers.is_real:
            return None
        signature = sign(entry.server_key, auth_message)
        return Proven(entry.token_id, b"v=" + encode_base64(signature))

    def _find(self, proof: bytes, auth_message: bytes) -> TokenVerifier | None:
        """The entry whose token made this proof; every entry is tried, match or not."""
        found: TokenVerifier | None = None
        for entry in self._verifiers.entries:
            client_key = xor(proof, sign(entry.stored_key, auth_message))
            if hmac.compare_digest(hashlib.sha256(client_key).digest(), entry.stored_key):
                found = entry
        return found

    def _read_flag(self, message: bytes) -> bytes:
        """Take gs2-cbind-flag and its comma off; RFC 5802 section 6."""
        flag = message[:1]
        if flag == b"p":
            if not self._is_plus:
                raise PeerViolation(f"{MALFORMED}: channel binding data without SCRAM-SHA-256-PLUS")
            kind, rest = read_attribute(message, b"p")
            if kind != b"tls-server-end-point":
                raise PeerViolation("unsupported SCRAM channel-binding type")
            return rest
        if flag not in (b"n", b"y"):
            raise PeerViolation(f"{MALFORMED}: unexpected channel-binding flag")
        if self._is_plus:
            raise PeerViolation(f"{MALFORMED}: SCRAM-SHA-256-PLUS without channel binding data")
        if flag == b"y" and self._binding is not None:
            raise Refusal(
                Reason.AUTHENTICATION_FAILED,
                "SCRAM channel binding negotiation error",
                "the client supports channel binding but was told that this server does not:"
                " somebody may stand between them",
                code=_WRONG_AUTHORIZATION,
            )
        if message[1:2] != b",":
            raise PeerViolation(f"{MALFORMED}: comma expected after the channel-binding flag")
        return message[2:]

    def _check_binding(self, bound: bytes) -> None:
        if self._is_plus:
            expected = encode_base64(BINDING_HEADER + (self._binding or b""))
            if not hmac.compare_digest(bound, expected):
                raise Refusal(
                    Reason.AUTHENTICATION_FAILED,
                    "SCRAM channel binding check failed",
                    "the client saw another certificate than ours",
                    code=_WRONG_AUTHORIZATION,
                )
        elif bound != encode_base64(self._header):
            raise PeerViolation(
                "unexpected SCRAM channel-binding attribute in client-final-message"
            )


def _check_text(message: bytes) -> None:
    if not message:
        raise PeerViolation(f"{MALFORMED}: the message is empty")
    if 0 in message:
        raise PeerViolation(f"{MALFORMED}: message length does not match input length")


def _skip_extensions(text: bytes) -> None:
    while text:
        text = _skip_attribute(text)


def _skip_attribute(text: bytes) -> bytes:
    """Drop one optional extension, whatever it says."""
    if not (text[:1].isalpha() and text[1:2] == b"="):
        raise PeerViolation(f"{MALFORMED}: attribute expected")
    return text.partition(b",")[2]
