"""Programs that are no Python packages: Debian's, which CI installs and people may lack."""

from __future__ import annotations

import os
import shutil

import pytest


def find_program(package: str, *names: str) -> str:
    """Return where a program is; where there is none, the test is skipped, and fails in CI.

    Args:
        package: Debian's package of it.
        names: What it is called, here or there.
    """
    found = next(filter(None, map(shutil.which, names)), None)
    if found is not None:
        return found
    told = f"needs {package}: apt-get install {package} (looked for {', '.join(names)})"
    if os.environ.get("CI") == "true":
        pytest.fail(told)
    pytest.skip(told)
