"""What to tell a client when the data source refused our login, by error number alone.

The server's own text is never passed on: a hostile one may put the credential into it.
"""

from __future__ import annotations

from protocols.errors import Reason, Refusal, UpstreamRefused

_WORDS = {
    1040: "the data source's server has too many connections",
    1044: "the data source's user may not use this database",
    1045: "the data source's server refused the stored credential",
    1049: "the data source's server has no such database",
    1053: "the data source's server is shutting down",
    1129: "the data source's server has blocked this proxy's address after too many errors",
    1130: "the data source's server does not accept connections from this proxy's address",
    1203: "the data source's user has too many connections",
    1226: "the data source's user has used up its quota at the server",
    1251: "the data source's server asks for a login method that this proxy does not speak",
    1698: "the data source's server refused the stored credential",
    1862: "the data source's stored password has expired at its server",
    3118: "the data source's user is locked at its server",
    3159: "the data source's server accepts only encrypted connections",
    4151: "the data source's user is locked at its server",
}


def explain(error: UpstreamRefused) -> Refusal:
    """A Refusal with one clear sentence of ours."""
    number = error.number
    words = _WORDS.get(number, "the data source's server refused the login")
    private = f"the server refused the login with error {number} ({error.code or 'no SQLSTATE'})"
    return Refusal(Reason.SOURCE_REFUSED, f"{words} (error {number})", private)
