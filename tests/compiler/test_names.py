"""What objects are called in messages and diagrams: by the author's own names."""

from __future__ import annotations

from pagerace.compiler.program import compile_protocol
from pagerace.lang import Array, Struct, array, pool, protocol, thread, u8


class Obj(Struct):
    value: u8


class Pair(Struct):
    both: Array[Obj] = array(2)


objs = pool(Obj, 2)
pair = Pair()


def touch(obj: Obj) -> None:
    obj.value += 1


def names_of(argument: Obj) -> set[str]:
    program = compile_protocol(protocol(threads=[thread(touch, argument)]))
    return {name for family in program.families for name in family.names}


def test_element_of_a_pool_that_is_only_an_argument() -> None:
    assert names_of(objs[1]) >= {"objs[0].value", "objs[1].value"}


def test_part_of_an_object_that_is_only_an_argument() -> None:
    assert names_of(pair.both[0]) == {"pair.both[0].value", "pair.both[1].value"}


def test_object_that_no_global_names() -> None:
    assert names_of(Obj()) == {"argument0.value"}
