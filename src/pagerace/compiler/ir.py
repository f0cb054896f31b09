"""The one intermediate representation: start reading the compiler here.

Every value is an unsigned bit pattern of a known width, ``0 <= v < 2**bits``; what
the bits mean (sign, enum, reference) is in its ``Scalar``.  Memory is a list of
``Family``: all cells of one field of one structure, side by side, so that a field
access is a family and an index.  A reference is 0 for None, else 1 + the number of
the object among all objects of its structure.

A ``Code`` is a control-flow graph.  A block that has a ``point`` is where another CPU
may run: execution pauses before its first instruction.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias


@dataclass(frozen=True, slots=True)
class Scalar:
    """The type of a value.  ``cls`` is the enum, bit struct or structure it is of.

    A pointer (only in direct code) has ``element``, the type that it points to; a bit
    struct has ``fields``, from bit 0 upward.  A "table" is a parameter for a constant table
    of class ``cls``, and the type of no value.
    """

    bits: int
    signed: bool = False
    kind: Literal["int", "bool", "enum", "bits", "ref", "ptr", "none", "table"] = "int"
    cls: type | None = None
    nullable: bool = False
    element: Scalar | None = None
    fields: tuple[tuple[str, Scalar], ...] = field(default=(), compare=False, repr=False)

    def __hash__(self) -> int:
        return self.bits  # the rest seldom tells more, and takes longer


BOOL = Scalar(1, kind="bool")
NONE = Scalar(0, kind="none")
INT = Scalar(32, signed=True, cls=int)  # C's int; cls=int marks a plain Python integer
U64 = Scalar(64)


@dataclass(frozen=True, slots=True)
class Where:
    """A place in the author's source; ``caller`` is the call that led there.

    Lines count from 1, columns from 0, as in ``ast``.
    """

    file: str
    line: int
    column: int
    end_column: int
    function: str
    caller: Where | None = None


@dataclass(frozen=True, slots=True)
class Const:
    """An operand known when compiled."""

    value: int
    type: Scalar

    def __hash__(self) -> int:
        return hash(self.value)  # quicker than with the type, and tells nearly as much


@dataclass(frozen=True, slots=True)
class Reg:
    """A local value of a thread: ``number`` indexes ``Code.registers``."""

    number: int
    type: Scalar

    def __hash__(self) -> int:
        return self.number  # which has one type


Operand: TypeAlias = Const | Reg

Access: TypeAlias = Literal["plain", "once", "acquire", "release", "atomic"]


@dataclass(slots=True)
class Family:
    """All cells of one field.  ``count`` cells of ``type``; ``cells[i]`` is named
    ``names[i]``, such as ``pages[0].dirty``.  ``private``: of per-thread structures.
    ``written``: some thread stores to it; otherwise it is a constant after set-up.
    """

    number: int
    name: str
    type: Scalar
    count: int
    names: list[str]
    private: bool = False
    written: bool = False
    initial: list[int] = field(default_factory=list[int])


@dataclass(slots=True)
class Op:
    """``dst = operation(args)``: see ``ops.TABLE``.  No side effect."""

    dst: Reg
    name: str
    args: tuple[Operand, ...]
    where: Where


@dataclass(slots=True)
class Lookup:
    """``dst = table[index]``, a table known when compiled.  The index is in range."""

    dst: Reg
    table: tuple[int, ...]
    index: Operand
    where: Where


@dataclass(slots=True)
class Load:
    """``dst = family[index]``.  The index is in range (a Check stands before).

    ``plain``: an access of C that says nothing to the compiler, to memory that others
    see; known when points have been placed.
    """

    dst: Reg
    family: Family
    index: Operand
    access: Access
    where: Where
    plain: bool = False


@dataclass(slots=True)
class Store:
    """``family[index] = value``.  ``plain`` as in ``Load``."""

    family: Family
    index: Operand
    value: Operand
    access: Access
    where: Where
    plain: bool = False


@dataclass(slots=True)
class Check:
    """A violation named ``slug`` unless ``condition`` is 1."""

    condition: Operand
    slug: str
    text: str
    where: Where
    number: int = -1  # among all Checks of the program; set by the assembler


@dataclass(slots=True)
class Wait:
    """Unless ``condition`` is 1 the whole step is not possible now."""

    condition: Operand
    where: Where


@dataclass(slots=True)
class Choose:
    """``dst`` = any of ``0 .. n-1``; n = 0 means the step is not possible now."""

    dst: Reg
    n: Operand
    where: Where


@dataclass(slots=True)
class Begin:
    """Start of an atomic section.  Gone once points are placed.

    ``why`` describes a section that the compiler made, such as "xchg pages[].dirty".
    ``single``: one access, with the check that its object may be accessed.
    """

    where: Where
    why: str = "atomic section"
    single: bool = False


@dataclass(slots=True)
class End:
    """End of an atomic section.  Gone once points are placed."""

    where: Where


@dataclass(slots=True)
class Fence:
    """A memory barrier: "mb", "rmb" or "wmb"."""

    kind: str
    where: Where


@dataclass(slots=True)
class Note:
    """For the diagram only: "trace" (text, args), "call" and "return" of a function."""

    kind: Literal["trace", "call", "return"]
    text: str
    args: tuple[Operand, ...]
    where: Where


@dataclass(slots=True)
class LockOrder:
    """Lock number ``lock`` is taken while those of the bit mask ``held`` are held."""

    lock: Operand
    held: Operand
    where: Where


@dataclass(slots=True)
class Call:
    """A plain call; only in direct code."""

    dst: Reg | None
    callee: str
    args: tuple[Operand, ...]
    where: Where


@dataclass(slots=True)
class PtrLoad:
    """``dst = pointer[index]``; only in direct code that serves the search."""

    dst: Reg
    pointer: Operand
    index: Operand
    where: Where


@dataclass(slots=True)
class PtrStore:
    """``pointer[index] = value``; only in direct code."""

    pointer: Operand
    index: Operand
    value: Operand
    where: Where


@dataclass(slots=True)
class PtrOffset:
    """``dst = &pointer[index]``; only in direct code."""

    dst: Reg
    pointer: Operand
    index: Operand
    where: Where


@dataclass(slots=True)
class Prefetch:
    """Bring ``pointer[index]`` near; only in direct code."""

    pointer: Operand
    index: Operand
    where: Where


Instruction: TypeAlias = (
    Op | Lookup | Load | Store | Check | Wait | Choose | Begin | End | Fence | Note
    | LockOrder | Call | PtrLoad | PtrStore | PtrOffset | Prefetch
)  # fmt: skip


@dataclass(slots=True)
class Jump:
    target: int


@dataclass(slots=True)
class Branch:
    condition: Operand
    then: int
    other: int


@dataclass(slots=True)
class Return:
    """End of the thread, or of the function in direct code."""

    value: Operand | None = None


Terminator: TypeAlias = Jump | Branch | Return


@dataclass(slots=True)
class Point:
    """Where another CPU may run.  ``number`` counts from 0 within its process.

    ``live``: the registers that are needed from here on, the rest is cleared.
    ``reads`` and ``writes``: family number -> cells that the step from here may touch
    (None: any cell of the family).  ``chooses``: the step may choose.
    """

    number: int
    where: Where
    why: str
    live: tuple[Reg, ...] = ()
    reads: dict[int, frozenset[int] | None] = field(
        default_factory=dict[int, "frozenset[int] | None"]
    )
    writes: dict[int, frozenset[int] | None] = field(
        default_factory=dict[int, "frozenset[int] | None"]
    )
    chooses: bool = False


@dataclass(slots=True)
class Block:
    instructions: list[Instruction]
    terminator: Terminator
    point: Point | None = None


@dataclass(slots=True)
class Code:
    """One thread's program, all calls inlined; or one function of direct code.

    Execution starts at block 0.  ``names[i]`` is the author's name of register i.
    """

    name: str
    registers: list[Scalar]
    names: list[str]
    blocks: list[Block]
    parameters: tuple[Reg, ...] = ()
    result: Scalar = NONE


@dataclass(slots=True)
class Process:
    """A thread or agent.  ``points[k]`` is the block number of point k.

    ``label`` is what a schedule calls it: ``1``, or ``1.tlb_evict`` where a CPU has more
    than one.  The program counter is k, or ``len(points)`` when it has returned.
    """

    index: int
    name: str
    label: str
    cpu: int
    agent: bool
    code: Code
    points: list[int] = field(default_factory=list[int])


@dataclass(slots=True)
class Property:
    """``code`` has no point and returns a bool."""

    kind: Literal["always", "at_end", "sometimes"]
    name: str
    code: Code
    where: Where


@dataclass(slots=True)
class Program:
    """A compiled protocol.  ``families[f].initial`` is the memory after set-up.

    ``bounds``: what the verdict is bounded by, as printed: {"CPUs": "3", "order": "sc"}.
    """

    name: str
    file: str
    families: list[Family]
    processes: list[Process]
    properties: list[Property]
    checks: list[Check]
    bounds: dict[str, str]
    locks: int = 0  # number of lock classes that LockOrder may name
    lock_names: list[str] = field(default_factory=list[str])
