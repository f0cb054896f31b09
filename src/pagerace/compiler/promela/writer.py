"""A whole program as Promela."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from dataclasses import replace

from pagerace.compiler import interpreter, ir
from pagerace.compiler.ir import Process, Program
from pagerace.compiler.layout import points_of
from pagerace.compiler.promela import steps, terms
from pagerace.compiler.promela.narrow import narrowed
from pagerace.compiler.promela.symbolic import Names, guard, property_holds
from pagerace.compiler.promela.terms import Inexpressible, Term

CHOICES_MAX = 256  # ways to choose in one step
INDENT = steps.INDENT

HEADER = """\
/* {claim}: written by pagerace, the same steps as it searches.

   spin -o1 -o2 -a FILE; gcc -O2 -DSAFETY -DNOREDUCE -o pan pan.c; ./pan -m1000000

   One step of pagerace is one d_step, and one state is one state of Spin: where the claim
   holds, "states, stored" is the number of states that pagerace finds without reductions,
   and "transitions" the number that it has seen, and one for the first.  -o1 and -o2: what
   is never read is a part of the state all the same.

   {bounds}
   {looked_for}
   Not looked for: livelock, lock-order inversion, 'sometimes' and coverage. */
"""


def write(program: Program) -> str:
    """The program as Promela.  Raises Inexpressible."""
    try:
        return _Writer(program).text()
    finally:
        terms.forget()


class _Writer:
    def __init__(self, program: Program) -> None:
        self.program = program
        self.state = interpreter.initial(program)
        self.taken = {"all_returned", "made", "properties", "rounds"}
        self.families = {
            family.number: self._name(family.name)
            for family in program.families
            if family.written and family.count * family.type.bits
        }
        self.processes = [
            self._name(f"{process.name}_{process.cpu}") for process in program.processes
        ]
        self.scratch: set[str] = set()

    def _name(self, text: str) -> str:
        """An identifier that nothing else has."""
        name = base = identifier(text)
        count = 2
        while name in self.taken:
            name = f"{base}_{count}"
            count += 1
        self.taken.add(name)
        return name

    def text(self) -> str:
        bodies = [self._process(process) for process in self.program.processes]
        properties = list(self._properties())
        parts = [
            self._header(),
            "\n".join(self._memory()),
            "\n".join(self._counters()),
            "\n".join(self._scratch()),
            *("\n".join(body) for body in bodies),
            "\n".join(properties),
        ]
        return "\n\n".join(part for part in parts if part) + "\n"

    def _header(self) -> str:
        program = self.program
        bounds = ", ".join(f"{name} {value}" for name, value in program.bounds.items())
        names = [p.name for p in program.properties if p.kind != "sometimes"]
        looked_for = ", ".join(["assertions and detectors", "deadlock", *names])
        claim = program.name or program.file
        text = HEADER.format(
            claim=claim,
            bounds=_filled(f"Bounds: {bounds}."),
            looked_for=_filled(f"Looked for: {looked_for}."),
        )
        return text.rstrip()

    # -- declarations -------------------------------------------------------------------

    def _memory(self) -> Iterator[str]:
        """The cells, with the values that they have when the set-up is done."""
        for family in self.program.families:
            array = self.families.get(family.number)
            if array is None:
                continue
            values = [terms.constant(family.type, v).value for v in family.initial]
            yield _remark(", ".join(dict.fromkeys(family.names)))
            kind = _type_of(family.type)
            if family.count == 1:
                yield f"{kind} {array} = {values[0]};"
            else:
                inside = ", ".join(map(str, values))
                yield f"{kind} {array}[{family.count}] = {{ {inside} }};"

    def _counters(self) -> Iterator[str]:
        """Where each process is, and when all threads have returned."""
        done: list[str] = []
        for process, name in zip(self.program.processes, self.processes, strict=True):
            kind = "byte" if len(process.points) < 256 else "short"
            yield f"{kind} pc_{name} = {self.state.pc[process.index]};"
            if not process.agent:
                done.append(f"pc_{name} == {len(process.points)}")
        yield f"#define all_returned ({' && '.join(done)})"

    def _scratch(self) -> Iterator[str]:
        if self.scratch:
            yield "/* needed inside a step only */"
        for name in sorted(self.scratch):
            yield f"hidden int {name};"

    # -- processes ------------------------------------------------------------------------

    def _process(self, process: Process) -> list[str]:
        process = replace(process, code=narrowed(process.code))
        code, number = process.code, process.index
        points = points_of(process)
        for point in points:
            for register in point.live:
                terms.require_narrow(register.type, point.where)
        kept = {register.number: register for point in points for register in point.live}
        registers = {
            register: identifier(f"{name or 'r'}_{register}") + "t" * (register not in kept)
            for register, name in enumerate(code.names)
        }
        names = Names(self.families, registers)
        pc = f"pc_{self.processes[number]}"
        frame = steps.Frame(code, names, pc, process.points, set(kept), self.scratch)
        lines = [f"active proctype {self.processes[number]}()", "{"]
        values = self.state.locals[number]
        for key, register in sorted(kept.items()):
            value = terms.constant(register.type, values.get(key, 0)).value
            lines.append(f"{INDENT}{_type_of(register.type)} {registers[key]} = {value};")
        lines += ["end:", f"{INDENT}do"]
        for point, block in zip(points, process.points, strict=True):
            lines += self._point(frame, point, block)
        if not process.agent:
            left = f"timeout && {pc} != {len(points)}"
            lines.append(f"{INDENT}:: {left} -> assert(false)  /* deadlock */")
        elif not points:
            lines.append(f"{INDENT}:: false")
        return [*lines, f"{INDENT}od", "}"]

    def _point(self, frame: steps.Frame, point: ir.Point, block: int) -> Iterator[str]:
        """The transitions from a point, one for each way to choose."""
        yield INDENT + _remark(f"{point.number}: {point.why}, {_calls(point.where)}")
        pending: list[tuple[int, ...]] = [()]
        ways = 0
        while pending:
            choices = pending.pop(0)
            condition, more = guard(
                frame.code, frame.names, frame.live, block, choices
            )
            pending += [(*choices, choice) for choice in range(more)]
            ways += 1
            if len(pending) + ways > CHOICES_MAX:
                raise Inexpressible(
                    f"a step with more than {CHOICES_MAX} ways to choose", point.where
                )
            if condition is terms.FALSE:
                continue
            label = "_".join(map(str, ("L", point.number, *choices))).replace("_", "", 1)
            yield from self._transition(frame, point, condition, block, choices, label)

    def _transition(
        self,
        frame: steps.Frame,
        point: ir.Point,
        condition: Term,
        block: int,
        choices: tuple[int, ...],
        label: str,
    ) -> Iterator[str]:
        here = terms.equals(terms.name(frame.pc, ir.U64), point.number)
        made = f" /* chosen: {', '.join(map(str, choices))} */" if choices else ""
        possible = terms.conjunction(here, condition)
        yield f"{INDENT}:: d_step {{ {possible.text} ->{made}"
        try:
            body = steps.statements(frame, block, choices, label)
        except Inexpressible as error:
            raise Inexpressible(str(error), error.where or point.where) from None
        for line in body[:-1]:
            yield f"{INDENT * 3}{line}"
        yield f"{INDENT * 3}{body[-1].rstrip(';')}"
        yield f"{INDENT}   }}"

    # -- properties -----------------------------------------------------------------------

    def _properties(self) -> Iterator[str]:
        """A process that looks at every state and moves only to fail."""
        done = terms.name("all_returned", ir.BOOL)
        options: list[str] = []
        names = Names(self.families, {})
        for item in self.program.properties:
            item = replace(item, code=narrowed(item.code))
            holds = property_holds(item, names, done)
            if holds is terms.TRUE:
                continue
            name = self._name(item.name)
            yield f"/* {item.kind} {item.name} */"
            yield f"#define {name} ({holds.text})"
            when = "all_returned && " if item.kind == "at_end" else ""
            options.append(f"{INDENT}:: d_step {{ {when}!{name} -> assert(false) }}")
        if options:
            yield "active proctype properties()"
            yield "{"
            yield "end:"
            yield f"{INDENT}do"
            yield from options
            yield f"{INDENT}od"
            yield "}"


_WORDS = """
    active assert atomic bit bool break byte c_code c_decl c_expr c_state c_track chan do
    d_step else empty enabled end eval false fi for full get_priority goto hidden if in init
    inline int len local ltl mtype nempty never nfull notrace np_ od of pc_value pid
    priority print printf printm proctype provided return run select set_priority short show
    skip timeout trace true typedef unless unsigned xr xs"""
KEYWORDS = frozenset(_WORDS.split())


def identifier(text: str) -> str:
    """``tasks[0].held_locks`` as a name of Promela and of C."""
    name = re.sub(r"\W+", "_", text).strip("_") or "r"
    if name[0].isdigit():
        name = f"r{name}"
    return f"{name}_" if name in KEYWORDS else name


def _filled(text: str) -> str:
    return textwrap.fill(text, 90, subsequent_indent=INDENT)


def _remark(text: str) -> str:
    """A comment of one line, cut where it grows long."""
    return f"/* {textwrap.shorten(text, 84, placeholder=' ...')} */"


def _type_of(type: ir.Scalar) -> str:
    if type.bits == 1:
        return "bool"
    if type.bits <= 8:
        return "byte"
    return "short" if type.bits <= 15 else "int"


def _calls(where: ir.Where) -> str:
    """``zap_pte_range:122 < unmap:40``: a place, and those that called it."""
    found = [steps.place(where)]
    caller = where.caller
    while caller is not None:
        found.append(steps.place(caller))
        caller = caller.caller
    return " < ".join(found)
