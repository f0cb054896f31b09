"""The two judges of this machine."""

from __future__ import annotations

from pagerace.oracle.program import CannotJudge, Judge


def kernel_judge() -> Judge:
    """The kernel that runs here.  Raises CannotJudge with the reason if it cannot."""
    try:
        from pagerace.oracle.kernel import RunningKernel  # pyright: ignore
    except ImportError as error:
        raise CannotJudge(f"the running kernel cannot be driven: {error}") from None
    return RunningKernel(kernel_pages=True)


def model_judge() -> Judge:
    """The kernel functions of mm/, compiled for a machine of full size."""
    from pagerace.oracle.model import Model  # pyright: ignore

    return Model()
