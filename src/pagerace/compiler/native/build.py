"""From IR to functions that can be called.  The only file that imports llvmlite.

The search's steps and its loops are two objects: an edit of a protocol changes the first
only, and the second comes from the cache.  How much LLVM should optimise was measured:

- "steps", many short stretches of code, each run now and then.  2,000 instructions at
  350 points take 105 ms and 10 ns a step with SROA, fast instruction selection and the
  register allocator of optimised code; 300 ms and the same 10 ns with all passes; 50 ms
  and 13 ns with no optimisation at all.
- "search", loops that wait for memory most of the time: 100 ms with a few passes, 360 ms
  with -O2, which makes a search of 9 million states 7 % faster.
- "loops", everything else: -O2.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from pagerace.compiler import ir
from pagerace.compiler.ir import Code, Program
from pagerace.compiler.layout import Layout
from pagerace.compiler.native import accesses, cache, direct, stepped
from pagerace.compiler.native import whole as native_whole
from pagerace.compiler.native.text import Module
from pagerace.compiler.reductions import NO_REDUCTIONS, Reductions
from pagerace.compiler.whole import Whole

Effort: TypeAlias = Literal["steps", "search", "loops"]


class NativeUnavailable(RuntimeError):
    """There is no native code here: no llvmlite, or LLVM cannot run code on this machine."""


class Native:
    """Code in memory.  It stays there for as long as this object or a function lives.

    ``step``, ``check_state`` and ``threads_done`` are there if a program was compiled.
    All functions may be called by several threads at once.
    """

    step: Any
    check_state: Any
    threads_done: Any

    def __init__(self, engine: Any, functions: dict[str, direct.Function],
                 checks: list[ir.Check]) -> None:  # fmt: skip
        self._engine = engine
        self.functions = functions
        self.checks = checks

    def add(self, ready: Ready) -> None:
        """Load direct code that calls this program's ``step`` and the others."""
        machine = _Machine()
        machine.add(self._engine, [ready.content])
        self.functions |= ready.functions

    def address(self, symbol: str) -> int:
        """The address of a function.  Raises KeyError if there is none of that name."""
        if symbol not in self.functions:
            raise KeyError(symbol)
        return self._engine.get_function_address(symbol)

    def function(self, symbol: str) -> Any:
        """A function of direct code for Python: pass integers, and addresses for ptr."""
        known = self.functions[symbol]
        types = [_ctype(scalar) for scalar in known.parameters]
        if known.memory:
            types.insert(0, ctypes.c_void_p)
        return self._callable(symbol, _ctype(known.result), types)

    def _callable(self, symbol: str, result: Any, types: Sequence[Any]) -> Any:
        function = ctypes.CFUNCTYPE(result, *types)(self.address(symbol))
        function.native = self  # pyright: ignore  # keeps the code until its last user goes
        return function


class WholeNative(Native):
    """Code over one region of memory: see native/whole.py."""

    waits: Sequence[ir.Wait | ir.Choose] = ()


@dataclass(frozen=True)
class Ready:
    """Direct code in an object file, and what it offers.  It may call ``step``."""

    content: bytes
    functions: Mapping[str, direct.Function]


def make_ready(
    make: Callable[[], Sequence[Code]],
    functions: Mapping[str, direct.Function],
    effort: Effort,
    *identity: str,
    cached: bool = True,
) -> Ready:
    """The object file of direct code that seldom changes.

    ``make`` is called only if the cache has no file of this ``identity``, which must
    tell all that the code depends on.  Raises NativeUnavailable.
    """
    machine = _Machine()
    name = cache.key("ready", effort, *identity, *machine.identity)
    content = cache.get(name) if cached else None
    if content is None:
        module = Module()
        direct.emit(module, make())
        content = machine.compile(module.text(), effort)
        if cached:
            cache.put(name, content)
    return Ready(content, functions)


def load_ready(ready: Ready) -> Native:
    """Direct code that calls nothing but itself, in memory.  Raises NativeUnavailable."""
    return Native(_Machine().load([ready.content]), dict(ready.functions), [])


def compile_program(
    program: Program,
    layout: Layout,
    extra: Sequence[Code] = (),
    *,
    reductions: Reductions = NO_REDUCTIONS,
    cached: bool = True,
) -> Native:
    """``step`` and the others of ``stepped``, and the functions ``extra``.

    Raises NativeUnavailable, and stepped.TooManyChoices.
    """
    module = Module()
    stepped.emit(module, program, layout, reductions)
    texts: list[tuple[str, Effort]] = [(module.text(), "steps")]
    found = direct.Direct({}, [], set())
    if extra:
        module = Module()
        found = direct.emit(module, extra, (len(program.processes), layout.words))
        texts.append((module.text(), "search"))
    u64 = ir.U64
    pointer = ir.Scalar(64, kind="ptr", element=u64)
    steps = [
        direct.Function("step", (u64, pointer, pointer, pointer), u64, False),
        direct.Function("check_state", (pointer, pointer), u64, False),
        direct.Function("threads_done", (pointer,), u64, False),
        direct.Function("chosen", (pointer,), u64, False),
        direct.Function("canonicalise", (pointer, pointer), ir.NONE, False),
    ]
    functions = {function.name: function for function in steps} | found.functions
    native = _load(texts, functions, found, cached)
    native.step = native.function("step")
    native.check_state = native.function("check_state")
    native.threads_done = native.function("threads_done")
    return native


def compile_accesses(program: Program, layout: Layout, codes: Sequence[Code]) -> Native:
    """The functions ``codes``, which may call ``accesses`` of the module of that name.

    Raises NativeUnavailable, and stepped.TooManyChoices.
    """
    module = Module()
    accesses.emit(module, program, layout)
    texts: list[tuple[str, Effort]] = [(module.text(), "steps")]
    module = Module()
    found = direct.emit(module, codes)
    texts.append((module.text(), "search"))
    pointer = ir.Scalar(64, kind="ptr", element=ir.U64)
    own = direct.Function("accesses", (ir.U64, pointer, pointer, pointer), ir.U64, False)
    return _load(texts, {"accesses": own} | found.functions, found, cached=True)


def compile_direct(codes: Sequence[Code], *, cached: bool = True) -> Native:
    """Plain functions alone.  Raises NativeUnavailable."""
    module = Module()
    found = direct.emit(module, codes)
    return _load([(module.text(), "loops")], found.functions, found, cached)


def compile_whole(
    whole: Whole, entries: set[str], effort: Effort, *, cached: bool = True
) -> WholeNative:
    """Functions over one region of memory.  Raises NativeUnavailable."""
    module = Module()
    found = native_whole.emit(module, list(whole.codes.values()), whole.placement, entries)
    machine = _Machine()
    for name in sorted(found.calls - found.functions.keys()):
        machine.require_symbol(name)
    functions = {name: found.functions[name] for name in entries}
    objects = [machine.object_code(module.text(), effort, cached)]
    native = WholeNative(machine.load(objects), functions, found.checks)
    native.waits = found.waits
    return native


def _load(
    texts: list[tuple[str, Effort]],
    functions: dict[str, direct.Function],
    found: direct.Direct,
    cached: bool,
) -> Native:
    machine = _Machine()
    for name in sorted(found.calls - functions.keys()):
        machine.require_symbol(name)
    objects = [machine.object_code(text, effort, cached) for text, effort in texts]
    return Native(machine.load(objects), functions, found.checks)


def _ctype(scalar: ir.Scalar) -> Any:
    if scalar.kind == "none":
        return None
    return ctypes.c_void_p if scalar.kind == "ptr" else ctypes.c_uint64


class _Machine:
    """LLVM for the machine that this runs on.  Raises NativeUnavailable."""

    def __init__(self) -> None:
        try:
            import llvmlite
            import llvmlite.binding as llvm
        except (ImportError, OSError) as error:
            raise NativeUnavailable(f"llvmlite cannot be loaded: {error}") from error
        self.llvm = llvm
        try:
            llvm.initialize_native_target()
            llvm.initialize_native_asmprinter()
            llvm.check_jit_execution()
            self.triple = llvm.get_process_triple()
            self.target = llvm.Target.from_triple(self.triple)
        except (RuntimeError, OSError) as error:
            raise NativeUnavailable(f"LLVM cannot make code here: {error}") from error
        self.cpu = llvm.get_host_cpu_name()
        self.features = llvm.get_host_cpu_features().flatten()
        version = ".".join(map(str, llvm.llvm_version_info))
        self.identity = (llvmlite.__version__, version, self.triple, self.cpu, self.features)

    def require_symbol(self, name: str) -> None:
        """LLVM ends the process over an unknown symbol, so ask first."""
        if self.llvm.address_of_symbol(name) is None:
            raise LookupError(f"no C function {name!r} in this process")

    def target_machine(self, effort: Effort) -> Any:
        return self.target.create_target_machine(
            cpu=self.cpu, features=self.features, opt=2 if effort == "loops" else 1,
            reloc="default", codemodel="jitdefault", jit=True,
        )  # fmt: skip

    def object_code(self, text: str, effort: Effort, cached: bool) -> bytes:
        """The object file of one module's text, from the cache if it is there."""
        name = cache.key(text, effort, *self.identity)
        content = cache.get(name) if cached else None
        if content is None:
            content = self.compile(text, effort)
            if cached:
                cache.put(name, content)
        return content

    def compile(self, text: str, effort: Effort) -> bytes:
        llvm = self.llvm
        module = llvm.parse_assembly(text, llvm.create_context())
        machine = self.target_machine(effort)
        options = llvm.create_pipeline_tuning_options(2)
        options.loop_vectorization = options.slp_vectorization = False
        builder = llvm.create_pass_builder(machine, options)
        if effort == "loops":
            builder.getModulePassManager().run(module, builder)
        else:
            inliner = llvm.create_new_module_pass_manager()
            inliner.add_always_inliner_pass()
            inliner.run(module, builder)
            self.simplify(module, builder, effort)
        return machine.emit_object(module)

    def simplify(self, module: Any, builder: Any, effort: Effort) -> None:
        """The few passes that pay where a whole pipeline would not."""
        passes = self.llvm.create_new_function_pass_manager()
        passes.add_sroa_pass()
        if effort == "search":
            passes.add_simplify_cfg_pass()
            passes.add_instruction_combine_pass()
            passes.add_simplify_cfg_pass()
        for function in module.functions:
            if not function.is_declaration:
                passes.run(function, builder)
                if effort == "steps":
                    function.add_function_attribute("optnone")  # select fast

    def load(self, objects: Sequence[bytes]) -> Any:
        """An engine with the objects, ready to run."""
        llvm = self.llvm
        empty = llvm.parse_assembly("")
        engine = llvm.create_mcjit_compiler(empty, self.target_machine("steps"))
        self.add(engine, objects)
        return engine

    def add(self, engine: Any, objects: Sequence[bytes]) -> None:
        """More objects for an engine; they may name what is in it."""
        for content in objects:
            engine.add_object_file(self.llvm.ObjectFileRef.from_data(content))
        engine.finalize_object()
