"""How a login by OpenID Connect goes wrong. Never holds a token, a code or a secret."""

from __future__ import annotations


class ProviderFailed(Exception):
    """The identity provider cannot be used; one sentence for who has set it up."""


class LoginRefused(Exception):
    """Who came back is not let in; one sentence for the audit log, not for who came."""


class NotAdministrator(LoginRefused):
    """The provider vouches for somebody who is no administrator: ``subject``, known as ``name``."""

    def __init__(self, sentence: str, subject: str, name: str) -> None:
        super().__init__(sentence)
        self.subject = subject
        self.name = name


class UnknownKey(LoginRefused):
    """The ID token was signed with a key that is not among those known."""


class Busy(Exception):
    """Too much is being asked of identity providers; one sentence."""

    def __init__(self) -> None:
        super().__init__("too many logins are under way; try again soon")
