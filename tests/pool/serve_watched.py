"""``tests.servers.serve_proxy`` that says on its log which thread loads PostgreSQL's grammar."""

from __future__ import annotations

import sys
import threading
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType

from tests.servers.serve_proxy import main

LOADED_BY = "the grammar is loaded by "


class Watch:
    """A finder that finds nothing, first in the row."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Asked for each module that is not loaded yet."""
        if name == "policies.postgres":
            is_loop = threading.current_thread() is threading.main_thread()
            print(f"{LOADED_BY}{'the loop' if is_loop else 'another'}", file=sys.stderr, flush=True)
        return None


if __name__ == "__main__":
    sys.meta_path.insert(0, Watch())
    main()
