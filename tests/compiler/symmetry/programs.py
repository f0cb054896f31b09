"""Random protocols of CPUs that are alike, or almost: source text that compiles."""

from __future__ import annotations

from hypothesis import strategies as st

HEADER = """\
from __future__ import annotations
from pagerace.lang import *
from pagerace.lang import u1, u2, u3

class Size(Config):
    users: int = 3

class Own(Struct):
    a: u2
    flag: bool
    asks: Array[bool] = array(lambda: Size.users)

class Common(Struct):
    x: u2
    taken: bool
    owner: u2
    bits: Array[bool] = array(lambda: Size.users)

owns = pool(Own, lambda: Size.users)
common = Common()

def me() -> u2:
    return u2(smp_processor_id())

def count() -> u3:
    found: u3 = 0
    for own in owns:
        if own.flag:
            found += 1
    return found

def any_flag() -> bool:
    for own in owns:
        if own.flag:
            return True
    return False
"""

# What all CPUs may do without anybody being able to tell them apart.
ALIKE = [
    "own.a += 1",
    "own.flag = not own.flag",
    "own.flag = common.x == own.a",
    "common.x = own.a",
    "common.x += 1",
    "own.a = u2(choose(2))",
    "common.bits[me()] = own.flag",
    "assert own.a != 3 or not common.taken",
    "if common.x == 2:\n    return",
    "x = own.a",
    "common.x = x",
    "with atomic():\n    wait_until(not common.taken)\n    common.taken = True",
    "common.taken = False",
    "with atomic():\n    own.a = u2(count())",
    "with atomic():\n    wait_until(any_flag())\n    own.flag = False",
    "with atomic():\n    for other in range(Size.users):\n"
    "        owns[other].asks[me()] = True",
    "with atomic():\n    sender = choose(Size.users)\n    wait_until(own.asks[sender])\n"
    "    own.asks[sender] = False\n    owns[sender].a = own.a",
    "with atomic():\n    for each in owns:\n        if each.flag and each.a == own.a:\n"
    "            common.x = 1",
]

# What tells them apart, at least for a while.
ORDERED = [
    "common.owner = me()",
    "owns[0].a = own.a",
    "with atomic():\n    if smp_processor_id() == 1:\n        common.x = 3",
    "for other in range(Size.users):\n    owns[other].flag = True",
    "with atomic():\n    for other in range(Size.users):\n        if owns[other].flag:\n"
    "            owns[other].a = 2\n            break",
    "with atomic():\n    owns[(me() + 1) % Size.users].flag = True",
    "x = me()",
    "with atomic():\n    own.asks[0] = True",
]

PROPERTIES = [
    "count() < 3",
    "common.x != 3",
    "not (common.taken and any_flag())",
    "common.x < 2 or count() != 1",
    "True",
]
ORDERED_PROPERTIES = ["owns[0].a != 3", "not common.bits[1]", "common.owner != 2"]


@st.composite
def sources(draw: st.DrawFn) -> str:
    """A protocol ``generated``: users that are alike, and maybe one more thread."""
    users = draw(st.integers(2, 3))
    nearly = draw(st.integers(0, 2)) == 0
    choice = ALIKE + (ORDERED if nearly else [])
    text = HEADER
    text += function("user", draw(st.lists(st.sampled_from(choice), min_size=1, max_size=4)))
    others = [
        part.replace("own.", "owns[0].") if "me()" in part else part
        for part in [*ALIKE, *(ORDERED if draw(st.booleans()) else [])]
        if "own." not in part and "me()" not in part
    ]
    other = draw(st.lists(st.sampled_from(others), max_size=2))
    text += function("other", other or ["pass"])
    if draw(st.integers(0, 5)) == 0:
        text += "\ndef setup() -> None:\n    owns[1].a = 2\n"
    else:
        text += "\ndef setup() -> None:\n    common.x = 1\n"
    choice = PROPERTIES + (ORDERED_PROPERTIES if nearly else [])
    for name in ("always", "finally_", "sometimes"):
        text += f"\ndef {name}() -> bool:\n    return {draw(st.sampled_from(choice))}\n"
    same_cpu = draw(st.integers(0, 4)) == 0
    threads = [f"thread(user, cpu={0 if same_cpu else cpu})" for cpu in range(users)]
    threads += ["thread(other, cpu=3)"] if other else []
    text += (
        f"\ngenerated = protocol(threads=[{', '.join(threads)}], setup=setup,\n"
        "    always=[always], at_end=[finally_], sometimes=[sometimes],\n"
        f"    config=[Size(users={users})])\n"
    )
    return text


def function(name: str, parts: list[str]) -> str:
    lines = [line for part in parts for line in part.split("\n")]
    head = ["x: u2 = 0"]
    head += ["own = owns[smp_processor_id()]"] if name == "user" else []
    return f"\ndef {name}() -> None:\n" + "".join(f"    {line}\n" for line in [*head, *lines])
