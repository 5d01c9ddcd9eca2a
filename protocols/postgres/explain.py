"""What to tell a client when the data source refused our login, by SQLSTATE alone.

The server's own text is never passed on: a hostile one may put the credential into it.
The codes are those of the manual's Appendix A.
"""

from __future__ import annotations

from protocols.errors import Reason, Refusal, UpstreamRefused

# The code is passed on where it is true for the client as well; the others would make a
# driver believe that the workspace's own token was wrong.
_PASSED = {
    "3D000": "the data source's server has no such database",
    "53300": "the data source's server has too many connections",
    "57P03": "the data source's server is not ready for connections",
    "57P01": "the data source's server is shutting down",
    "22023": "the data source's server refused a start-up parameter",
    "42704": "the data source's server does not know a start-up parameter",
    "0A000": "the data source's server does not support what was asked at start-up",
}
_OWN = {
    "28P01": "the data source's server refused the stored credential",
    "28000": "the data source's server does not accept this user from here (pg_hba.conf)",
    "42501": "the data source's user may not connect to this database",
    "55000": "the data source's database does not accept connections",
}


def explain(error: UpstreamRefused) -> Refusal:
    """A Refusal with one clear sentence of ours."""
    code = error.code
    private = f"the server refused the login with {code or 'no code'}"
    if code in _PASSED:
        return Refusal(Reason.SOURCE_REFUSED, f"{_PASSED[code]} ({code})", private, code=code)
    words = _OWN.get(code, "the data source's server refused the login")
    shown = f"{words} ({code})" if code else words
    return Refusal(Reason.SOURCE_REFUSED, shown, private)
