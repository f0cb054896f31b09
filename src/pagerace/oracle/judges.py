"""The two judges of this machine."""

from __future__ import annotations

from pagerace.oracle.program import CannotJudge, Judge


def kernel_judge(cpu: int | None = None) -> Judge:
    """The kernel that runs here, on one CPU.  Raises CannotJudge with the reason."""
    from pagerace.oracle.kernel import Kernel

    return Kernel(cpu=cpu)


def model_judge() -> Judge:
    """The kernel functions of mm/, compiled for a machine of full size."""
    try:
        from pagerace.oracle.model import Model  # pyright: ignore
    except ImportError as error:
        raise CannotJudge(f"mm/ has no system calls: {error}") from None
    return Model()
