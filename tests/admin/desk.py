"""The endpoints in this process, and a workspace's real identity provider in TLS beside them.

It is asked over the real egress guard, to which this machine's addresses are open.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx

from policies.egress import EgressRules
from proxy.oidc.egress import EgressFetch
from tests.admin.rig import Rig, problem
from tests.oidc.provider import CLIENT, SECRET, Provider
from tests.servers.certificates import Certificates

BACK = "https://console.example.com/back"
OF = "/v1/workspaces/finance/oidc"


def changed(**changes: Any) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """What a provider says, but for these."""
    return lambda said: said | changes


@dataclass
class Desk:
    """The endpoints, and the provider of the workspace ``finance``."""

    rig: Rig
    provider: Provider

    def settings(self, **more: Any) -> dict[str, Any]:
        return {
            "issuer": self.provider.issuer,
            "client_id": CLIENT,
            "client_secret": SECRET,
            "redirect_uris": [BACK],
            "claim": "groups",
            "allowed": ["finance-admins"],
        } | more

    async def put(self, workspace: str = "finance", **more: Any) -> httpx.Response:
        path = f"/v1/workspaces/{workspace}/oidc"
        body = {name: value for name, value in self.settings(**more).items() if value is not None}
        return await self.rig.call("PUT", path, body, headers=await self.rig.etag(path))

    async def start(self, **more: Any) -> httpx.Response:
        body = {"workspace": "finance", "redirect_uri": BACK} | more
        return await self.rig.call("POST", "/v1/oidc/start", body, key="")

    async def begun(self) -> tuple[dict[str, Any], dict[str, str]]:
        """What a login begins with, and what its user comes back with."""
        answer = await self.start()
        assert answer.status_code == 200, answer.text
        begun = answer.json()
        return begun, self.provider.authorize(begun["authorization_url"])

    async def finish(self, login: str, back: dict[str, str]) -> httpx.Response:
        return await self.rig.call("POST", "/v1/oidc/finish", {"login": login} | back, key="")

    async def log_in(self) -> dict[str, Any]:
        begun, back = await self.begun()
        answer = await self.finish(begun["login"], back)
        assert answer.status_code == 200, answer.text
        made: dict[str, Any] = answer.json()
        return made

    async def refused(self) -> str:
        """A whole login that is refused; the reason, from the workspace's own log."""
        begun, back = await self.begun()
        return await self.not_accepted(begun["login"], back)

    async def not_accepted(self, login: str, back: dict[str, str]) -> str:
        answer = await self.finish(login, back)
        found = problem(answer, 401, "wrong-login")
        assert found["detail"] == "The login was not accepted; begin another one."
        return self.reason()

    async def unavailable(self) -> str:
        """The provider cannot be used to begin a login; why, from the workspace's own log."""
        found = problem(await self.start(), 502, "provider-unavailable")
        assert found["detail"] == "The identity provider of this workspace cannot be used now."
        return self.reason()

    def logins(self) -> list[Any]:
        return [event for event in self.rig.trail.events if event.event_class == 3002]

    def reason(self) -> str:
        event = self.logins()[-1]
        assert event.workspace == self.rig.workspaces["finance"].id
        assert (event.status, event.action) == (2, 2)
        return str(event.status_detail)

    async def is_over(self, token: str) -> bool:
        answer = await self.rig.call("GET", "/v1/me", key=token)
        if answer.status_code == 200:
            return False
        problem(answer, 401, "unauthenticated")
        return True


async def opened_desk(rig: Rig, provider: Provider, certificates: Certificates) -> Desk:
    """A desk whose workspace ``finance`` has this provider."""
    tls = ssl.create_default_context(cafile=str(certificates.ca))
    rules = EgressRules(allow_private=True)
    rig.office.fetch_for = lambda workspace: EgressFetch(rules, workspace.policy, tls)
    provider.clock = rig.clock
    desk = Desk(rig, provider)
    assert (await desk.put()).status_code == 200
    rig.trail.events.clear()
    return desk
