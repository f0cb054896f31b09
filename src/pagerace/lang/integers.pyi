from typing import Any, ClassVar, TypeAlias

u1: TypeAlias = int
u2: TypeAlias = int
u3: TypeAlias = int
u4: TypeAlias = int
u5: TypeAlias = int
u6: TypeAlias = int
u7: TypeAlias = int
u8: TypeAlias = int
u9: TypeAlias = int
u10: TypeAlias = int
u11: TypeAlias = int
u12: TypeAlias = int
u13: TypeAlias = int
u14: TypeAlias = int
u15: TypeAlias = int
u16: TypeAlias = int
u17: TypeAlias = int
u18: TypeAlias = int
u19: TypeAlias = int
u20: TypeAlias = int
u21: TypeAlias = int
u22: TypeAlias = int
u23: TypeAlias = int
u24: TypeAlias = int
u25: TypeAlias = int
u26: TypeAlias = int
u27: TypeAlias = int
u28: TypeAlias = int
u29: TypeAlias = int
u30: TypeAlias = int
u31: TypeAlias = int
u32: TypeAlias = int
u33: TypeAlias = int
u34: TypeAlias = int
u35: TypeAlias = int
u36: TypeAlias = int
u37: TypeAlias = int
u38: TypeAlias = int
u39: TypeAlias = int
u40: TypeAlias = int
u41: TypeAlias = int
u42: TypeAlias = int
u43: TypeAlias = int
u44: TypeAlias = int
u45: TypeAlias = int
u46: TypeAlias = int
u47: TypeAlias = int
u48: TypeAlias = int
u49: TypeAlias = int
u50: TypeAlias = int
u51: TypeAlias = int
u52: TypeAlias = int
u53: TypeAlias = int
u54: TypeAlias = int
u55: TypeAlias = int
u56: TypeAlias = int
u57: TypeAlias = int
u58: TypeAlias = int
u59: TypeAlias = int
u60: TypeAlias = int
u61: TypeAlias = int
u62: TypeAlias = int
u63: TypeAlias = int
u64: TypeAlias = int
s8: TypeAlias = int
s16: TypeAlias = int
s32: TypeAlias = int
s64: TypeAlias = int

def wrap(value: int, bits: int, signed: bool) -> int: ...

class SizedInt(int):
    bits: ClassVar[int]
    signed: ClassVar[bool]
    place: tuple[Any, Any] | None
    def __new__(cls, value: int = ..., place: tuple[Any, Any] | None = ...) -> SizedInt: ...

class PlainInt(SizedInt): ...
