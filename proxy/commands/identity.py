"""How identity providers are asked: over connections that the egress rules have let pass."""

from __future__ import annotations

import ssl
from collections.abc import Callable

from proxy.commands.frame import CommandError
from proxy.config import Config
from proxy.oidc.egress import EgressFetch
from proxy.oidc.fetching import Fetch
from proxy.parts import web_egress_rules
from proxy.store import Workspace


async def fetch_for(config: Config) -> Callable[[Workspace], Fetch]:
    """For a workspace, whose policy may open private networks.

    Raises StoreUnusable, CommandError.
    """
    rules = await web_egress_rules(config)
    tls = ssl.create_default_context()
    tls.minimum_version = ssl.TLSVersion.TLSv1_2
    if config.admin.oidc_ca is not None:
        try:
            tls.load_verify_locations(cafile=config.admin.oidc_ca)
        except OSError:
            # ssl.SSLError is one of them, and names no file.
            raise CommandError(
                f"admin.oidc_ca: {config.admin.oidc_ca} cannot be read as certificates in PEM"
            ) from None
    return lambda workspace: EgressFetch(rules, workspace.policy, tls)
