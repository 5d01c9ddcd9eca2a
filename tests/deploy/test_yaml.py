from __future__ import annotations

import subprocess
import sys

from tests.deploy.files import DEPLOY


def test_yamllint_has_nothing_to_say():
    done = subprocess.run(
        [sys.executable, "-m", "yamllint", "--strict", "."],
        cwd=DEPLOY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
