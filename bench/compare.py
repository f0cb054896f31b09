"""How long `pagerace compare T2` takes, part by part: compiling, replaying.

    python bench/compare.py [VARIANT ...]
"""

from __future__ import annotations

import sys
import time

from pagerace.replay import compared
from pagerace.replay.reader import Trace


def main(names: list[str]) -> None:
    """A line for each variant."""
    print(f"{'variant':<18}{'compile, s':>12}{'replay, s':>12}{'operations':>12}")
    for name in names or compared.names():
        start = time.perf_counter()
        machines = compared.Compared([name])
        compiled = time.perf_counter()
        trace = Trace(str(compared.TRACE), 1, "")
        machines.run([trace])
        trace.close()
        done = time.perf_counter()
        costs = machines.costs()[name]
        number = sum(cost.number for cost in costs.of.values())
        machines.close()
        print(f"{name:<18}{compiled - start:>12.1f}{done - compiled:>12.2f}{number:>12,}")


if __name__ == "__main__":
    main(sys.argv[1:])
