"""Expressions of Promela, built from operations of the IR.

Promela computes in C's ``int``, 32 bits with a sign.  A value of up to 31 bits is its bit
pattern, never negative; one of 32 bits is the ``int`` of the same bits.  Wider ones are
refused.  Terms are made by ``operation``, ``choice`` and their like, which work out what is
known and drop what changes nothing; equal terms are equal objects.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

from pagerace.compiler import ir, ops
from pagerace.compiler.ir import Scalar

INT_BITS = 32


class Inexpressible(Exception):
    """What Promela has no word for.  ``where`` it stands, if that is known."""

    def __init__(self, message: str, where: ir.Where | None = None) -> None:
        super().__init__(message)
        self.where = where


@dataclass(frozen=True, eq=False, slots=True)
class Term:
    """An expression.  ``text`` has what is inside in parentheses where that is needed.

    ``kind``: "number", "name" (a variable, or a cell), "if" (the conditional expression of
    ``args``), "not", "and", "or" (of conditions), "other".  ``size`` counts what ``text``
    names.  ``condition``: it is surely 0 or 1.
    """

    kind: str
    args: tuple[Term, ...]
    text: str
    condition: bool
    size: int
    value: int = 0
    types: tuple[Scalar, ...] = ()  # of an addition: its operands' and its result's

    @property
    def inside(self) -> str:
        """The text as a part of a larger one."""
        bare = self.kind in ("name", "if") or (self.kind == "number" and self.value >= 0)
        return self.text if bare else f"({self.text})"


SIZE_MAX = 20_000  # names in an expression


@cache
def _make(
    kind: str,
    args: tuple[Term, ...],
    text: str,
    condition: bool = False,
    types: tuple[Scalar, ...] = (),
) -> Term:
    size = 1 + sum(arg.size for arg in args)
    if size > SIZE_MAX:
        raise Inexpressible("an expression grows too large")
    return Term(kind, args, text, condition, size, 0, types)


def forget() -> None:
    """Let all terms go that were made."""
    _make.cache_clear()


@cache
def number(value: int) -> Term:
    """A number as Promela writes it."""
    text = "(1 << 31)" if value == -(1 << 31) else str(value)
    return Term("number", (), text, value in (0, 1), 1, value)


def constant(type: Scalar, bits: int) -> Term:
    """A bit pattern of a type."""
    require_narrow(type)
    return number(bits - (1 << INT_BITS) if bits >> (INT_BITS - 1) else bits)


def name(text: str, type: Scalar) -> Term:
    """A variable, or a cell whose index is a number."""
    return _make("name", (), text, type.bits == 1)


def cell(array: str, index: Term, type: Scalar) -> Term:
    """A cell whose index is known only when it runs."""
    return _make("name", (index,), f"{array}[{index.text}]", type.bits == 1)


TRUE, FALSE = number(1), number(0)


# -- conditions ------------------------------------------------------------------


def negation(a: Term) -> Term:
    """Not ``a``, which is 0 or 1."""
    if a.kind == "number":
        return number(int(not a.value))
    return a.args[0] if a.kind == "not" else _make("not", (a,), f"!{a.inside}", True)


def conjunction(a: Term, b: Term) -> Term:
    """Both of two conditions; ``b`` is looked at only where ``a`` holds."""
    if a.kind == "number":
        return b if a.value else FALSE
    if b is TRUE or a is b:
        return a
    if b is FALSE:
        return FALSE
    return _make("and", (a, b), f"{_part(a, 'and')} && {_part(b, 'and')}", True)


def disjunction(a: Term, b: Term) -> Term:
    """One of two conditions; ``b`` is looked at only where ``a`` does not hold."""
    if a.kind == "number":
        return TRUE if a.value else b
    if b is FALSE or a is b:
        return a
    if b is TRUE:
        return TRUE
    return _make("or", (a, b), f"{_part(a, 'or')} || {_part(b, 'or')}", True)


def _part(term: Term, kind: str) -> str:
    return term.text if term.kind == kind else term.inside


def choice(condition: Term, a: Term, b: Term) -> Term:
    """``a`` where the condition holds, else ``b``.  0 and 1 are as good as conditions."""
    if condition.kind == "number":
        return a if condition.value else b
    if condition.kind == "not":
        return choice(condition.args[0], b, a)
    if a is b:
        return a
    # What is decided by the same condition again, and two ways to the same end.
    a = a.args[1] if a.kind == "if" and a.args[0] is condition else a
    b = b.args[2] if b.kind == "if" and b.args[0] is condition else b
    if b.kind == "if" and b.args[1] is a:
        return choice(disjunction(condition, b.args[0]), a, b.args[2])
    if a.kind == "if" and a.args[2] is b:
        return choice(conjunction(condition, a.args[0]), a.args[1], b)
    if b.kind == "and" and b.args[1] is a:
        return conjunction(disjunction(condition, b.args[0]), a)
    if a.condition and b.condition:
        if a is TRUE or a is condition:
            return disjunction(condition, b)
        if b is FALSE or b is condition:
            return conjunction(condition, a)
        if a is FALSE:
            return conjunction(negation(condition), b)
        if b is TRUE:
            return disjunction(negation(condition), a)
    if a.types and a.args[0] is b:  # a count: what it was stands once in it
        type, to = a.types
        return _operation("add", type, to, (b, choice(condition, a.args[1], FALSE)))
    text = f"({condition.inside} -> {a.inside} : {b.inside})"
    return _make("if", (condition, a, b), text, a.condition and b.condition)


def equals(term: Term, value: int) -> Term:
    """Is it this number, which is not negative?"""
    if term.kind == "number":
        return TRUE if term.value == value else FALSE
    return _make("other", (term,), f"{term.inside} == {value}", True)


# -- operations ------------------------------------------------------------------


def operation(instruction: ir.Op, args: Sequence[Term]) -> Term:
    """What an ``Op`` gives, its operands being ``args``.  Raises Inexpressible."""
    types = [arg.type for arg in instruction.args]
    for type in (*types, instruction.dst.type):
        require_narrow(type, instruction.where)
    try:
        return _operation(instruction.name, types[0], instruction.dst.type, tuple(args))
    except Inexpressible as error:
        raise Inexpressible(str(error), instruction.where) from None


def _operation(op: str, type: Scalar, to: Scalar, args: tuple[Term, ...]) -> Term:
    if all(arg.kind == "number" for arg in args):
        values = [arg.value & ((1 << INT_BITS) - 1) for arg in args]
        return constant(to, ops.wrap(to, ops.TABLE[op].meaning(type, *values)))
    if op == "not" or (op == "eq" and type.bits == 1 and args[1] is FALSE):
        return negation(args[0])
    if op == "select":
        return choice(*args)
    if to.bits == 1 and type.bits == 1 and op in ("and", "or"):
        return (conjunction if op == "and" else disjunction)(*args)
    if op == "truth":
        if type.bits == 1:
            return args[0]
        return _make("other", args, f"{args[0].inside} != 0", True)
    if op == "convert" and not type.signed and to.bits >= type.bits:
        return args[0]
    if op == "convert" and args[0].condition:
        return args[0]
    text = _TEXTS[op](type, to, [arg.inside for arg in args])
    return _make("other", args, text, to.bits == 1, (type, to) if op == "add" else ())


def require_narrow(type: Scalar, where: ir.Where | None = None) -> None:
    """Raises Inexpressible for a type of which not every value is an ``int``."""
    if type.bits > INT_BITS:
        message = f"a value has {type.bits} bits, and Promela's integers have 32"
        raise Inexpressible(message, where)


def _wrapped(to: Scalar, text: str) -> str:
    return _masked(to, text if to.bits >= INT_BITS else f"({text})")


def _masked(to: Scalar, text: str) -> str:
    return text if to.bits >= INT_BITS else f"{text} & {(1 << to.bits) - 1}"


def _signed(type: Scalar, text: str) -> str:
    """The number that a bit pattern stands for."""
    if not type.signed or type.bits >= INT_BITS:
        return text
    sign = 1 << (type.bits - 1)
    return f"(({text} ^ {sign}) - {sign})"


def _plain(symbol: str, *, wraps: bool) -> Callable[[Scalar, Scalar, list[str]], str]:
    def text(type: Scalar, to: Scalar, args: list[str]) -> str:
        both = f"{args[0]} {symbol} {args[1]}"
        return _wrapped(to, both) if wraps else both

    return text


def _compare(symbol: str) -> Callable[[Scalar, Scalar, list[str]], str]:
    def text(type: Scalar, to: Scalar, args: list[str]) -> str:
        a, b = (_signed(type, arg) for arg in args)
        if type.bits == INT_BITS and not type.signed:
            a, b = f"({a} ^ (1 << 31))", f"({b} ^ (1 << 31))"
        return f"{a} {symbol} {b}"

    return text


def _divide(type: Scalar, to: Scalar, args: list[str]) -> str:
    """Python rounds down, and C towards 0."""
    a, b = _divided(type, args)
    if not type.signed:
        return f"{a} / {b}"
    down = f"({a} / {b}) - (({a} % {b}) != 0 && (({a} % {b}) < 0) != ({b} < 0))"
    if type.bits < INT_BITS:
        return _wrapped(to, down)
    return f"({b} == -1 -> -{a} : {down})"  # C traps on the least number divided by -1


def _remainder(type: Scalar, to: Scalar, args: list[str]) -> str:
    a, b = _divided(type, args)
    if not type.signed:
        return f"{a} % {b}"
    wrong = f"(({a} % {b}) != 0 && (({a} % {b}) < 0) != ({b} < 0))"
    down = f"({a} % {b}) + ({wrong} -> {b} : 0)"
    return _wrapped(to, down) if type.bits < INT_BITS else f"({b} == -1 -> 0 : {down})"


def _divided(type: Scalar, args: list[str]) -> tuple[str, str]:
    if type.bits == INT_BITS and not type.signed:
        raise Inexpressible("a division of 32 bits without a sign")
    return _signed(type, args[0]), _signed(type, args[1])


def _shift_left(type: Scalar, to: Scalar, args: list[str]) -> str:
    a, n = args
    if n.isdigit():
        return _wrapped(to, f"{a} << {n}") if int(n) < type.bits else "0"
    return f"({n} >= 0 && {n} < {type.bits} -> {_wrapped(to, f'{a} << {n}')} : 0)"


def _shift_right(type: Scalar, to: Scalar, args: list[str]) -> str:
    a, n = _signed(type, args[0]), args[1]
    if type.signed:
        last = type.bits - 1
        if n.isdigit():
            return _wrapped(to, f"{a} >> {min(int(n), last)}")
        return _wrapped(to, f"{a} >> ({n} >= 0 && {n} < {last} -> {n} : {last})")
    if type.bits < INT_BITS:
        if n.isdigit():
            return f"{a} >> {n}" if int(n) < type.bits else "0"
        return f"({n} < {type.bits} -> {a} >> {n} : 0)"
    if not n.isdigit():  # C copies the sign, which has to be cut off
        cut = f"({a} >> {n}) & ~((-1) << (32 - {n}))"
        return f"({n} == 0 -> {a} : ({n} > 0 && {n} < 32 -> {cut} : 0))"
    if int(n) >= INT_BITS:
        return "0"
    return f"({a} >> {n}) & {(1 << (INT_BITS - int(n))) - 1}" if int(n) else a


_TEXTS: dict[str, Callable[[Scalar, Scalar, list[str]], str]] = {
    "add": _plain("+", wraps=True),
    "sub": _plain("-", wraps=True),
    "mul": _plain("*", wraps=True),
    "div": _divide,
    "mod": _remainder,
    "and": _plain("&", wraps=False),
    "or": _plain("|", wraps=False),
    "xor": _plain("^", wraps=False),
    "shl": _shift_left,
    "shr": _shift_right,
    "invert": lambda type, to, args: _wrapped(to, f"~{args[0]}"),
    "neg": lambda type, to, args: _wrapped(to, f"-{args[0]}"),
    "eq": _plain("==", wraps=False),
    "ne": _plain("!=", wraps=False),
    "lt": _compare("<"),
    "le": _compare("<="),
    "gt": _compare(">"),
    "ge": _compare(">="),
    "convert": lambda type, to, args: _masked(to, _signed(type, args[0])),
}
