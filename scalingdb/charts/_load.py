"""Altair, before any module that imports it in full."""

from scalingdb._imports import import_lightly

__all__: list[str] = []

import_lightly("altair")
