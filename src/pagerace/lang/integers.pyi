from typing import Any, ClassVar, TypeAlias

__all__ = [
    "u1",
    "u2",
    "u3",
    "u4",
    "u5",
    "u6",
    "u7",
    "u8",
    "u9",
    "u10",
    "u11",
    "u12",
    "u13",
    "u14",
    "u15",
    "u16",
    "u17",
    "u18",
    "u19",
    "u20",
    "u21",
    "u22",
    "u23",
    "u24",
    "u25",
    "u26",
    "u27",
    "u28",
    "u29",
    "u30",
    "u31",
    "u32",
    "u33",
    "u34",
    "u35",
    "u36",
    "u37",
    "u38",
    "u39",
    "u40",
    "u41",
    "u42",
    "u43",
    "u44",
    "u45",
    "u46",
    "u47",
    "u48",
    "u49",
    "u50",
    "u51",
    "u52",
    "u53",
    "u54",
    "u55",
    "u56",
    "u57",
    "u58",
    "u59",
    "u60",
    "u61",
    "u62",
    "u63",
    "u64",
    "s8",
    "s16",
    "s32",
    "s64",
]

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
