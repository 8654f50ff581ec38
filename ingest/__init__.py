"""From raw files to the tables of the warehouse: one module per source.

Every module of this folder whose name does not start with an underscore is a source. It declares
``SOURCE`` (a :class:`ingest._source.Source`) and ``build(raw)``, which returns its tables. The
folder is the registry: nothing else names the sources.
"""
