"""Where the parts of a state lie."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pagerace.compiler import interpreter
from pagerace.compiler.interpreter import State
from pagerace.compiler.ir import Family, Program, Scalar
from pagerace.compiler.layout import WORD_BITS, Layout, Slot
from tests.assembly import Assembly, family, program


def masks(layout: Layout, process: int, registers: list[int]) -> list[Slot]:
    """All slots in use while ``process`` has these registers live."""
    slots = [slot for cells in layout.cells.values() for slot in cells]
    slots += [slot for slot in layout.pc if slot.bits]
    return slots + [layout.locals[process][register] for register in registers]


def assert_apart(slots: list[Slot], words: int) -> None:
    used = [0] * words
    for slot in slots:
        assert slot.bits > 0 and slot.shift + slot.bits <= WORD_BITS
        mask = (1 << slot.bits) - 1 << slot.shift
        assert not used[slot.word] & mask
        used[slot.word] |= mask


def assert_sound(made: Program) -> Layout:
    """No two things that are needed at the same time overlap."""
    layout = Layout.of(made)
    for process in made.processes:
        for pc in range(len(process.points)):
            live = [register.number for register in layout.live(process.index, pc)]
            assert_apart(masks(layout, process.index, live), layout.words)
    everywhere = masks(layout, 0, [])
    for process in made.processes:
        for slot in layout.locals[process.index].values():
            assert_apart([*everywhere, slot], layout.words)
            for other in made.processes:
                if other.index != process.index:
                    for theirs in layout.locals[other.index].values():
                        assert_apart([slot, theirs], layout.words)
    return layout


def holder(name: str, cells: Family, widths: list[int]) -> Assembly:
    """A thread that holds values of these widths at its last point."""
    a = Assembly(name)
    values = [a.register(Scalar(width)) for width in widths]
    for value in values:
        a.load(cells, into=value)
    total = a.register()
    a.copy(total, 0)
    for value in values:
        a.op("add", total, a.op("convert", value, to=Scalar(8)), into=total)
    a.store(cells, total)
    return a


def test_cells_of_a_family_lie_side_by_side_in_one_word() -> None:
    wide = family("Page.wide", Scalar(5), 12)
    small = family("Page.small", Scalar(3), 4)
    a = Assembly()
    a.load(wide)
    layout = assert_sound(program([wide, small], [a]))
    assert layout.cells[0] == [Slot(0, 5 * i, 5) for i in range(12)]
    assert {slot.word for slot in layout.cells[1]} == {1}
    assert layout.words == 2
    assert layout.bits == 60 + 12 + 1


def test_a_large_family_fills_words_with_whole_cells() -> None:
    large = family("Page.large", Scalar(10), 15)
    a = Assembly()
    a.load(large)
    layout = assert_sound(program([large], [a]))
    assert layout.cells[0][5] == Slot(0, 50, 10)
    assert layout.cells[0][6] == Slot(1, 0, 10)
    assert layout.cells[0][14] == Slot(2, 20, 10)
    assert layout.words == 3
    assert layout.pc == [Slot(0, 60, 1)]  # in what is left over


def test_a_full_word_cell() -> None:
    large = family("Page.large", Scalar(64), 2)
    a = Assembly()
    a.load(large)
    layout = assert_sound(program([large], [a]))
    assert [slot.word for slot in layout.cells[0]] == [0, 1]
    assert layout.words == 3


def test_constants_and_what_has_no_bits_take_no_room() -> None:
    constant = family("Page.constant", Scalar(8), written=False, initial=[7])
    nothing = family("Page.nothing", Scalar(0), 4)
    made = program([constant, nothing], [Assembly()])
    layout = assert_sound(made)
    assert layout.cells == {}
    assert layout.pc == [Slot(0, 0, 0)]
    assert (layout.words, layout.bits) == (1, 0)
    assert layout.unpack([0]) == State([[7], [0] * 4], [0], [{}])


def test_locals_never_live_together_share_bits() -> None:
    x = family("Page.x")
    a = Assembly()
    for _ in range(3):
        a.store(x, a.load(x))
    layout = assert_sound(program([x], [a]))
    assert len(set(layout.locals[0].values())) == 1
    assert layout.bits == 8 + 3 + 8


def test_locals_of_different_processes_share_nothing() -> None:
    x = family("Page.x")
    layout = assert_sound(program([x], [holder("a", x, [8, 8, 3]), holder("b", x, [2])]))
    # The cell; 3 and 2 bits of program counter; the two 8-bit values of a at its third
    # load (the sum at its store takes the place of one); the sum of b.
    assert layout.bits == 8 + 3 + 2 + 16 + 8


def test_small_things_fill_the_gaps() -> None:
    families = [family(f"Page.f{i}", Scalar(33)) for i in range(3)]
    families += [family(f"Page.g{i}", Scalar(28)) for i in range(3)]
    a = Assembly()
    a.load(families[0])
    layout = assert_sound(program(families, [a]))
    assert layout.words == 3
    assert layout.bits == 3 * 61 + 1


@given(
    st.lists(st.tuples(st.integers(1, 64), st.integers(1, 20)), max_size=8),
    st.lists(st.lists(st.integers(1, 8), max_size=6), min_size=1, max_size=3),
    st.data(),
)
def test_any_state_survives_packing(
    shapes: list[tuple[int, int]], widths: list[list[int]], data: st.DataObject
) -> None:
    x = family("Page.x")
    families = [x, *(family(f"F.f{i}", Scalar(b), n) for i, (b, n) in enumerate(shapes))]
    threads = [holder(f"t{i}", x, each) for i, each in enumerate(widths)]
    made = program(families, threads)
    layout = assert_sound(made)
    total = sum(f.count * f.type.bits for f in families)
    assert layout.words >= -(-total // WORD_BITS)
    pc = [data.draw(st.integers(0, len(p.points))) for p in made.processes]
    state = State(
        [[data.draw(st.integers(0, 2**f.type.bits - 1)) for _ in range(f.count)]
         for f in families],
        pc,
        [{r.number: data.draw(st.integers(0, 2**r.type.bits - 1))
          for r in layout.live(p.index, pc[p.index])} for p in made.processes],
    )  # fmt: skip
    words = layout.pack(state)
    assert len(words) == layout.words
    assert all(0 <= word < 1 << WORD_BITS for word in words)
    assert layout.unpack(words) == state


def test_the_states_of_a_run_survive_packing() -> None:
    x = family("Page.x")
    made = program([x], [holder("a", x, [8, 8]), holder("b", x, [4])])
    layout = Layout.of(made)
    state = interpreter.initial(made)
    for process in (0, 1, 0, 0, 1):
        state = interpreter.step(made, state, process).state
        assert layout.unpack(layout.pack(state)) == state
    assert interpreter.threads_done(made, state)


def test_a_value_too_wide_for_its_slot_is_noticed() -> None:
    x = family("Page.x", Scalar(3))
    a = Assembly()
    a.store(x, 9)
    made = program([x], [a])
    with pytest.raises(AssertionError, match="does not fit"):
        interpreter.step(made, interpreter.initial(made), 0)
