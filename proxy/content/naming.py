"""The workspace that a call is about: by its name, or as it has been found already."""

from __future__ import annotations

from proxy.store import Store, Workspace


async def workspace_named(store: Store, named: str | Workspace) -> Workspace:
    """The workspace. Who has been admitted to one gives that very one: by its name another
    could be found by now. Raises NotFound.
    """
    return named if isinstance(named, Workspace) else await store.workspace(named)
