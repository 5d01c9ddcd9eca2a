"""The address of an HTTP call, taken apart and checked. Resolves and dials nothing."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from policies.egress import check_host

_TARGET = re.compile(r"[A-Za-z0-9._~:/?@!$&'()*+,;=%-]*")
_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")


class WebAddressError(ValueError):
    """An address that cannot be called; one sentence."""


@dataclass(frozen=True, slots=True)
class WebAddress:
    """Where a call goes. ``target`` is the path with the query, as HTTP sends it."""

    host: str
    port: int
    target: str
    is_encrypted: bool

    @property
    def authority(self) -> str:
        """The Host header (RFC 9110, 7.2)."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.is_encrypted else 80) else f"{host}:{self.port}"


def read_address(url: str) -> WebAddress:
    """An ``https`` or ``http`` address. Raises WebAddressError.

    Without user, password and fragment, and in ASCII: what one reader takes for the host
    and another for the path is not called at all.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise WebAddressError("this is no web address") from None
    if parts.scheme not in ("https", "http") or not url.startswith(f"{parts.scheme}://"):
        raise WebAddressError("the address begins with https:// (or http://)")
    if parts.username is not None or parts.password is not None or "@" in parts.netloc:
        raise WebAddressError("the address holds no user and no password")
    if parts.fragment or "#" in url:
        raise WebAddressError("the address holds no fragment (#)")
    target = _target(parts)
    host = (parts.hostname or "").lower()
    refusal = check_host(host)
    if refusal is not None:
        raise WebAddressError(refusal.public)
    is_encrypted = parts.scheme == "https"
    return WebAddress(host, port or (443 if is_encrypted else 80), target, is_encrypted)


def _target(parts: SplitResult) -> str:
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if not _TARGET.fullmatch(target) or _PERCENT.search(target):
        raise WebAddressError("what is not ASCII in the address is written as %XX")
    return target
