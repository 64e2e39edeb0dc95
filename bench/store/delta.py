"""One Delta table: append rows, read columns, rewrite many small files as few, with other processes at work.

Knows Arrow and the Delta library, and nothing of what the rows mean.
"""

import os
import random
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import pyarrow
import pyarrow.compute
import pyarrow.dataset
from deltalake import DeltaTable, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError
from pyarrow.dataset import ParquetReadOptions

from bench.errors import StoreError
from bench.remote import RemotePath, completed, is_remote, reason
from bench.store import cached

# Every append adds a small file, and each costs a load 3 ms.
MANY_FILES = 100
# Opening a table reads all commits since the last checkpoint, half a millisecond each.
CHECKPOINTS = {"delta.checkpointInterval": "10"}
ATTEMPTS = 10

Result = TypeVar("Result")

_first_user: int | None = None  # the process that started the Delta library's threads


class StoredTable:
    """A Delta table at a URI, made by its first append.

    It is opened anew for each call: other processes change it too, and an old view of it only makes conflicts.

    Args:
        uri: a folder or a URI that the Delta library takes.
        schema: the columns as this version of the code knows them.
        options: the Delta library's storage options.
        repeated: columns of long texts that many rows share: read as codes into a dictionary, each text once.
    """

    def __init__(
        self, uri: str, schema: pyarrow.Schema, options: dict[str, str] | None = None, repeated: Sequence[str] = ()
    ):
        self.uri = uri
        self.schema = schema
        self._remote = RemotePath(uri, options or {}) if is_remote(uri) else None
        self._reached = False
        self._options = completed(uri, options or {}) if self._remote else options
        self._repeated = list(repeated)

    def append(self, rows: pyarrow.Table) -> None:
        """Add rows in one commit: all of them or none, whatever happens to this process meanwhile.

        Raises:
            StoreError: they could not be written, or too many others wrote at the same moment.
        """
        with told(f"{self.uri} cannot be written"):
            crowded = _again_on_conflict(lambda: self._append(rows))
        if crowded:
            # Only for speed, and the rows are in: whatever stands in the way, the next append or load will say so.
            with suppress(StoreError):
                self.compact(attempts=1)

    def read(self, names: Sequence[str] | None = None, where: Mapping[str, Any] | None = None) -> pyarrow.Table:
        """The named columns (all) of the rows with these values; a column from after a row's time is null in it.

        A table that does not exist has no rows.

        Raises:
            StoreError: the table is damaged; says where.
        """
        with told(f"{self.uri} cannot be read"):
            table = self._open()
            if table is None:
                return self.schema.empty_table().select(names or self.schema.names)
            stored = self._rows_of(table)
            later = [field for field in self.schema if field.name not in stored.schema.names]
            known = stored.replace_schema(pyarrow.schema([*stored.schema, *later]))
            return known.to_table(columns=names or self.schema.names, filter=matching(where, self.schema))

    def compact(self, attempts: int = ATTEMPTS) -> None:
        """Rewrite all rows in one commit as few files, and delete files that no version of the last 7 days needs.

        What killed writers left behind is among them. Appends by others go through meanwhile; of two that compact
        at once the later one gives way and starts again.

        Raises:
            StoreError: the rows could not be read or written, and nothing has changed.
        """
        with told(f"{self.uri} cannot be compacted"):
            _again_on_conflict(self._compact, attempts)

    def _append(self, rows: pyarrow.Table) -> bool:
        """Whether the table had many files before."""
        table = self._open() or self._create()
        # Merging schemas takes three times as long, so only where a column is new here or there.
        same = {field.name for field in table.schema().fields} == set(rows.schema.names)
        write_deltalake(table, rows, mode="append", schema_mode=None if same else "merge")
        return len(table.file_uris()) > MANY_FILES

    def _compact(self) -> None:
        table = self._open()
        if table is not None and len(table.file_uris()) > 1:
            # Not `table.optimize.compact()`: of two at once neither sees a conflict (deltalake 1.6), and both add
            # all rows. An overwrite counts as a change of data, so the second of two is refused.
            write_deltalake(table, self._rows_of(table).to_table(), mode="overwrite")
            table.vacuum(dry_run=False, full=True)

    def _create(self) -> DeltaTable:
        """An empty table; where another process was first, that one's."""
        return DeltaTable.create(
            self.uri, self.schema, mode="ignore", configuration=CHECKPOINTS, storage_options=self._options
        )

    def _rows_of(self, table: DeltaTable) -> pyarrow.dataset.Dataset:
        if self._remote is not None and (here := self._on_this_machine(self._remote, table)):
            return here
        return table.to_pyarrow_dataset(parquet_read_options=ParquetReadOptions(dictionary_columns=self._repeated))

    def _on_this_machine(self, remote: RemotePath, table: DeltaTable) -> pyarrow.dataset.Dataset | None:
        """The table's files as they are kept here, fetched where they are not; None where they cannot be kept."""
        names = [uri.removeprefix(f"{self.uri}/") for uri in table.file_uris()]
        paths = cached.kept(remote, names, (self._options or {}).get("aws_endpoint", ""))
        if not paths:
            return None
        read = pyarrow.dataset.ParquetFileFormat(ParquetReadOptions(dictionary_columns=self._repeated))
        stored = pyarrow.schema(table.schema().to_arrow())
        repeated = {name: pyarrow.dictionary(pyarrow.int32(), pyarrow.string()) for name in self._repeated}
        fields = [field.with_type(repeated[field.name]) if field.name in repeated else field for field in stored]
        return pyarrow.dataset.dataset([str(path) for path in paths], schema=pyarrow.schema(fields), format=read)

    def _open(self) -> DeltaTable | None:
        """The newest version of the table, or None before its first append."""
        _only_where_the_threads_are()
        self._reach()
        if DeltaTable.is_deltatable(self.uri, self._options):
            return DeltaTable(self.uri, storage_options=self._options)
        # The log comes first: rows without one are what is left of a table, and must not pass for an empty one.
        if next(Path(self.uri).glob("*.parquet"), None):
            raise StoreError(f"{self.uri} is damaged: there are rows, but no log in _delta_log")
        return None

    def _reach(self) -> None:
        """Look once whether object storage can be reached: the Delta library would try for minutes."""
        if self._remote is not None and not self._reached:
            self._remote.reach()
            self._reached = True


def matching(where: Mapping[str, Any] | None, schema: pyarrow.Schema) -> pyarrow.compute.Expression | None:
    """A filter for rows whose columns have one of the values given: `{"suite": "a", "metric": ["params", "macs"]}`."""
    found = None
    for name, wanted in (where or {}).items():
        values = list(wanted) if isinstance(wanted, (list, tuple, set, frozenset)) else [wanted]
        among = pyarrow.compute.field(name).isin(pyarrow.array(values, schema.field(name).type))
        found = among if found is None else found & among
    return found


@contextmanager
def told(what: str) -> Iterator[None]:
    """Turn the errors of files, Arrow and Delta into one StoreError in one line: what failed, and why."""
    try:
        yield
    except (DeltaError, OSError, pyarrow.ArrowException) as error:
        lines = [re.sub(r"\x1b\[\d*m|↳", "", line).strip() for line in str(error).splitlines()]
        # The Delta library prints one cause per line, and below them a trace of its own.
        causes = [line for line in lines if line and not re.match(r"\d+: |at ", line)]
        remote = "://" in what
        said = ", ".join(causes)[:400]
        raise StoreError(f"{what}: {reason(str(error)) if remote else said}") from error


def _again_on_conflict(commit: Callable[[], Result], attempts: int = ATTEMPTS) -> Result:
    """Commit; where another process committed what does not go with it, wait a moment and begin again.

    A conflict means that nothing of ours was committed, so repeating cannot store a row twice.
    """
    for attempt in range(attempts - 1):
        try:
            return commit()
        except CommitFailedError:
            time.sleep(random.uniform(0, 0.02 * 2**attempt))
    return commit()


def _only_where_the_threads_are() -> None:
    """Refuse a process forked from one that used the Delta library: its threads stayed there, a call would hang."""
    global _first_user
    _first_user = _first_user or os.getpid()
    if _first_user != os.getpid():
        raise StoreError(
            f"the store was used by process {_first_user} before it forked this one ({os.getpid()}), which cannot use "
            "it. Append in the parent process, or start workers with 'spawn' or 'forkserver'."
        )
