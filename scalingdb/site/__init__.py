"""The reports: notebooks, laws and sources as a site that needs no network."""
