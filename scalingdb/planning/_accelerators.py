"""Budgets in hours: what accelerators do at most, and what a run gets out of them."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from scalingdb.errors import DataError, unknown_name

__all__ = ["PEAKS", "accelerators", "flop_of_hours"]


@dataclass(frozen=True)
class Peak:
    """Dense peak of an accelerator in bfloat16 (float16 where it has none), without sparsity."""

    flops_per_second: float
    source: str


PEAKS = {
    "v100_sxm": Peak(125e12, "NVIDIA, Programming Tensor Cores in CUDA 9 (2017): 125 tensor TFLOPS, float16"),
    "a100": Peak(312e12, "NVIDIA A100 data sheet, tensor cores, bfloat16, dense"),
    "h100_sxm": Peak(989.4e12, "NVIDIA H100 data sheet, SXM5, bfloat16; 1,979 TFLOP/s stated with sparsity, halved"),
    "h100_pcie": Peak(756e12, "NVIDIA H100 data sheet, PCIe, bfloat16; 1,513 TFLOP/s stated with sparsity, halved"),
    "tpu_v3": Peak(123e12, "Cloud TPU documentation, page v3, per chip, bfloat16"),
    "tpu_v4": Peak(275e12, "Cloud TPU documentation, page v4, per chip, bfloat16"),
    "tpu_v5e": Peak(197e12, "Cloud TPU documentation, page v5e, per chip, bfloat16"),
    "tpu_v5p": Peak(459e12, "Cloud TPU documentation, page v5p, per chip, bfloat16"),
}
"""Stated peaks by name. Runs reach a third to a half of them: that share is the utilisation."""


def accelerators() -> pl.DataFrame:
    """Accelerators whose stated peak is known here.

    Returns
    -------
    DataFrame
        ``accelerator, flops_per_second`` (dense, bfloat16), ``source``.

    Examples
    --------
    >>> from scalingdb import planning
    >>> table = planning.accelerators()
    >>> f"{table.filter(table['accelerator'] == 'a100')['flops_per_second'].item():.3g}"
    '3.12e+14'
    """
    return pl.DataFrame(
        {
            "accelerator": list(PEAKS),
            "flops_per_second": [peak.flops_per_second for peak in PEAKS.values()],
            "source": [peak.source for peak in PEAKS.values()],
        }
    )


def flop_of_hours(
    hours: float, accelerator: str | None, flops_per_second: float | None, utilisation: float | None
) -> float:
    """FLOP of so many hours of one accelerator.

    Raises
    ------
    UnknownNameError
        If the accelerator is not known.
    DataError
        If the peak is not stated, stated twice, or the utilisation is not a share.
    """
    if (accelerator is None) == (flops_per_second is None):
        raise DataError(
            "gpu_hours needs either an accelerator or flops_per_second",
            "for example accelerator='h100_sxm', utilisation=0.4.",
        )
    if accelerator is not None and accelerator not in PEAKS:
        raise unknown_name("accelerator", accelerator, PEAKS, "for another one give flops_per_second=...")
    if utilisation is None or not 0 < utilisation <= 1:
        raise DataError(
            f"utilisation={utilisation!r} is not a share between 0 and 1",
            "what share of the peak the run reaches; 0.3 to 0.5 is common.",
        )
    peak = PEAKS[accelerator].flops_per_second if accelerator is not None else flops_per_second
    if peak is None or not peak > 0:
        raise DataError(f"flops_per_second={flops_per_second!r} is not a positive number")
    return float(hours * 3600 * peak * utilisation)
