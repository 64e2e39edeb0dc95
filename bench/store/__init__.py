"""The result store, the only room that knows results/: `results` has the rows, `delta` the tables, `exports` CSV."""

from bench.store.store import Store, schema_of

__all__ = ["Store", "schema_of"]
