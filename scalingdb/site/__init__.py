"""The site: notebooks, laws and sources as pages that need no network."""

from scalingdb._imports import import_lightly

import_lightly("jsonschema")  # which nbformat imports in full
