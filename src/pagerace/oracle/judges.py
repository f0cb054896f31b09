"""The two judges of this machine."""

from __future__ import annotations

from pagerace.oracle.program import Judge


def kernel_judge() -> Judge:
    """The kernel that runs here.  Raises CannotJudge with the reason if it cannot."""
    from pagerace.oracle.kernel import Kernel

    return Kernel()


def model_judge() -> Judge:
    """The kernel functions of mm/, compiled for a machine of full size."""
    from pagerace.oracle.model import Model  # pyright: ignore

    return Model()
