"""Run the benchmarks: `python -m benchmarks [NAME ...]`; exit 1 if a target was missed."""

from __future__ import annotations

import sys

from benchmarks import (
    building,
    covered,
    fundamentals,
    gaps,
    healing,
    limiting,
    memory,
    reading,
    silences,
    status,
    thousand,
    ticks,
    writing,
)
from benchmarks.figures import show

BENCHMARKS = {
    "writing": writing,
    "memory": memory,
    "covered": covered,
    "limiting": limiting,
    "gaps": gaps,
    "healing": healing,
    "silences": silences,
    "status": status,
    "ticks": ticks,
    "reading": reading,
    "building": building,
    "fundamentals": fundamentals,
    "thousand": thousand,
}


def main() -> int:
    """Run the benchmarks that are named, or all."""
    names = sys.argv[1:] or list(BENCHMARKS)
    unknown = set(names) - BENCHMARKS.keys()
    if unknown:
        sys.stderr.write(f"no benchmark {sorted(unknown)}; there are {sorted(BENCHMARKS)}\n")
        return 2
    held = [show(name, BENCHMARKS[name].run()) for name in names]
    return 0 if all(held) else 1


if __name__ == "__main__":
    sys.exit(main())
