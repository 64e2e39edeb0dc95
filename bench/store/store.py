"""The result store: append rows, load them as one typed DataFrame, compact, export. The only room that knows results/.

Judges nothing and edits nothing: a row once stored stays as it was measured.
"""

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas
import pyarrow
import pyarrow.compute

from bench.errors import StoreError, UsageError
from bench.plan.case import Case
from bench.plan.fingerprint import Fingerprint
from bench.plan.staleness import Today
from bench.records.measurement import SCHEMA, CodePart, Environment, Measurement, as_row, columns
from bench.remote import RemotePath, is_remote
from bench.store import environments, finished
from bench.store.delta import StoredTable, matching
from bench.store.exports import kind_of, read_csv, write_csv
from bench.store.questions import asked_again
from bench.store.recalled import Recall, told_by_commit

Rows = pandas.DataFrame  # what `load` and `environments` give, for who only hands it on
_ARROW = {
    "int64": pyarrow.int64(),
    "float64": pyarrow.float64(),
    "string": pyarrow.string(),
    "bool": pyarrow.bool_(),
}
_PANDAS = {
    pyarrow.int64(): pandas.Int64Dtype(),
    pyarrow.float64(): pandas.Float64Dtype(),
    pyarrow.string(): pandas.StringDtype("pyarrow"),
    pyarrow.bool_(): pandas.BooleanDtype(),
}
_QUESTION = "params_json"  # long, and the same in every row of a case


def schema_of(record: type) -> pyarrow.Schema:
    """The Arrow schema of a record, such as `Measurement`: its columns, with `started_at` as a UTC timestamp.

    Every column may be null, so that a row from before a column existed still has its place.
    """
    types = {name: _ARROW[type_name] for name, (type_name, _) in columns(record).items()}
    times = {"started_at": pyarrow.timestamp("us", "UTC")} if "started_at" in types else {}
    return pyarrow.schema({**types, **times})


_SOURCES = pyarrow.schema([("code_sha256", pyarrow.string()), *schema_of(CodePart)])


class Store:
    """Three Delta tables below one URI, `measurements`, `environments` and `sources`; or, to read only, exported CSV.

    Nothing is touched before the first call. Several processes may append at once.

    Args:
        uri: a folder, or what else the Delta library takes, such as `s3://bucket/results`; or a folder of exports (at
            any depth, read as one), or one exported file.
        storage_options: handed to the Delta library: keys, region, endpoint.
    """

    def __init__(self, uri: str | Path = "results/store", storage_options: Mapping[str, str] | None = None):
        self.uri = str(uri).rstrip("/")
        given = storage_options if storage_options is not None else getattr(uri, "options", None)
        options = dict(given) if given else None
        self.options = options or {}  # that reach it, where it is on object storage
        self._tables = {
            "measurements": StoredTable(
                f"{self.uri}/measurements", schema_of(Measurement), options, repeated=[_QUESTION]
            ),
            "environments": StoredTable(f"{self.uri}/environments", schema_of(Environment), options),
            "sources": StoredTable(f"{self.uri}/sources", _SOURCES, options),
        }
        self._stored = 0

    @property
    def scratch_dir(self) -> Path | RemotePath | None:
        """Where a run may keep checkpoints: beside the tables; None where the store is exported files, or a URI that is
        no object storage.
        """
        if is_remote(self.uri):
            return RemotePath(f"{self.uri}/scratch", self.options)
        return None if "://" in self.uri or self._exports() else Path(self.uri) / "scratch"

    def append(self, rows: Sequence[Measurement]) -> None:
        """Add rows in one atomic commit. Give the rows of a case together, so that it is there whole or not at all.

        A NaN or an infinity is stored as a null that is not ok, with its reason: `the value was nan`.

        Raises:
            StoreError: nothing of these rows was stored (disk full, no permission); says what is kept.
        """
        if rows:
            schema = self._tables["measurements"].schema
            self._add("measurements", pyarrow.Table.from_pylist([_stored_form(row) for row in rows], schema=schema))

    def append_environment(self, environment: Environment) -> None:
        """Add the conditions of a run. Raises StoreError as `append` does."""
        schema = self._tables["environments"].schema
        self._add("environments", pyarrow.Table.from_pylist([_stored_form(environment)], schema=schema))

    def append_code(self, fingerprints: Iterable[Fingerprint]) -> None:
        """Keep what these are made of, each once, so that a later change can be told in words. Raises StoreError."""
        known = set(self.codes())
        new = {each.sha256: each for each in fingerprints if each.sha256 not in known}
        rows = [{"code_sha256": key, **asdict(part)} for key, each in new.items() for part in each.parts]
        if rows:
            self._add("sources", pyarrow.Table.from_pylist(rows, schema=_SOURCES))

    def codes(self) -> dict[str, list[CodePart]]:
        """Fingerprint -> what it was made of, for those that are kept here."""
        found: dict[str, list[CodePart]] = {}
        for row in self._read("sources").to_pylist():
            found.setdefault(row.pop("code_sha256"), []).append(CodePart(**{k: v or "" for k, v in row.items()}))
        return found

    def load(self, columns: Sequence[str] | None = None, where: Mapping[str, Any] | None = None) -> pandas.DataFrame:
        """All rows in one frame with the columns of `Measurement`, in no promised order.

        The types are pandas' nullable ones (Int64, Float64, string, boolean), `started_at` is a UTC timestamp, and
        `params_json` a category, for one long text stands in many rows. A store that does not exist is an empty frame
        with the same columns.

        Args:
            columns: only these.
            where: only rows with these values: `{"suite": "cifar_mixers", "metric": ["params", "macs"]}`.

        Raises:
            StoreError: the store is damaged, or has rows of a newer schema than this code knows.
        """
        return _frame(self._read("measurements", columns, where))

    def environments(self) -> pandas.DataFrame:
        """One row per environment of each run with the columns of `Environment`, typed as in `load`.

        Where one was stored several times, the fullest of them.
        """
        return environments.fullest_of_each(_frame(self._read("environments")))

    def suites(self) -> set[str]:
        """The ids of the suites that have rows here."""
        return set(self._read("measurements", ["suite"])["suite"].unique().to_pylist())

    def run(self, run_id: str) -> tuple[dict[str, Any], pandas.DataFrame]:
        """The environment and the rows of one run, by its id, a beginning that only it has, or 'last'.

        Where several nodes had a part in it, each column of the environment says what all of them say.

        Raises:
            UsageError: no such run, or several; the message lists them.
        """
        ids = self.runs()["run_id"].tolist()
        found = ids[-1:] if run_id == "last" else [each for each in ids if each.startswith(run_id)]
        if len(found) != 1:
            many = "several runs begin with" if found else "no run"
            raise UsageError(f"{many} '{run_id}' in {self.uri}. Known: {', '.join(found or ids) or 'none'}.")
        there = environments.fullest_of_each(_frame(self._read("environments", where={"run_id": found})))
        return environments.as_one(there), self.load(where={"run_id": found})

    def runs(self) -> pandas.DataFrame:
        """One row per run, oldest first: when, suites and profiles, on what, how many cases, its rows by status."""
        read = ["run_id", "started_at", "suite", "profile", "device_name", "case_id", "status"]
        rows = self.load(read)
        summary = rows.groupby("run_id").agg(
            started_at=("started_at", "min"),
            suites=("suite", _listed),
            profiles=("profile", _listed),
            devices=("device_name", _listed),
            cases=("case_id", "nunique"),
            rows=("status", "size"),
        )
        for status in ("ok", "failed", "skipped", "timeout"):
            summary[status] = rows["status"].eq(status).groupby(rows["run_id"]).sum()
        known = environments.by_run(self.environments())
        return summary.reset_index().merge(known, on="run_id", how="left").sort_values("started_at", ignore_index=True)

    def machines(self) -> pandas.DataFrame:
        """One row per machine that rows come from, the newest first; see `environments.by_machine`."""
        read = [*environments.KEYS, *environments.SHARED, "case_id", "device_name", "started_at"]
        return environments.by_machine(self.environments(), self.with_conditions(self.load(read)))

    def with_conditions(self, rows: Rows) -> Rows:
        """The rows; those of before a row knew its torch and its machine have those of their environment."""
        return environments.with_conditions(rows, self.environments)

    def finished(
        self, cases: Iterable[Case], device_name: str, threads: int, torch: str | None = None
    ) -> dict[str, str]:
        """The cases that need not be measured again under these conditions: id -> when they were; see `standing`."""
        return self.standing(cases, device_name, threads, torch)[0]

    def standing(
        self,
        cases: Iterable[Case],
        device_name: str,
        threads: int,
        torch: str | None = None,
        today: Mapping[str, Today] | None = None,
        data: Callable[[Case], str | None] = lambda case: None,
        machines: Collection[tuple[str | None, str | None]] = (),
    ) -> tuple[dict[str, str], dict[str, str]]:
        """The cases that are finished, id -> when; and of the others those that were measured, id -> why again.

        Args:
            today: suite -> its code now; a case's own fingerprint counts where its suite is not among them.
            data: the digest of a case's data set as it is now; None where that cannot be told.
            machines: id and name of those whose clocks count; all, when none is given.
        """
        asked = list(cases)
        rows = self.load(finished.COLUMNS, where={"case_id": [case.id for case in asked]})
        if torch is not None or machines:
            rows = self.with_conditions(rows)
        return finished.standing(rows, asked, (device_name, threads, torch), today or {}, data, machines)

    def compact(self) -> None:
        """Rewrite the many small files that appends leave as few; appends may go on meanwhile. Raises StoreError."""
        self._refuse_exports()
        for table in self._tables.values():
            table.compact()

    def export(self, folder: str | Path, where: Mapping[str, Any] | None = None) -> list[Path]:
        """Write `measurements.csv` and `environments.csv`, sorted: equal rows make equal bytes.

        A null is an empty field, an empty text is `""`; a float is the shortest text that reads back as the same float.

        Args:
            folder: made when it is not there. Never inside the store, where a clean-up deletes what it does not know.
            where: as for `load`; the environments are those of the exported rows.

        Returns:
            These two files, and `sources.csv` where it is known of what their code was made.

        Raises:
            StoreError: they could not be written, or the folder is inside the store.
        """
        folder = Path(folder)
        if Path(self.uri).resolve() in (folder.resolve(), *folder.resolve().parents):
            raise StoreError(f"{folder} is inside the store {self.uri}. Export to a folder beside it.")
        rows = self._read("measurements", where=where).cast(self._tables["measurements"].schema)
        runs = rows["run_id"].unique().to_pylist()
        conditions = self._read("environments", where={"run_id": runs})
        sources = self._read("sources", where={"code_sha256": rows["code_sha256"].drop_null().unique().to_pylist()})
        written = [write_csv(rows, folder / "measurements.csv"), write_csv(conditions, folder / "environments.csv")]
        return written + ([write_csv(sources, folder / "sources.csv")] if len(sources) else [])

    def import_(self, source: str | Path, recall: Recall = lambda *_: None) -> int:
        """Add the rows and environments of an export, or of another store, that are not here yet.

        Rows of an older bench come in with their question in today's form, so that they answer today's cases.

        Args:
            recall: what is known of the code of rows that were made before rows had a fingerprint.

        Returns:
            How many measurements were new.
        """
        theirs = Store(source)
        conditions, rows = theirs._read("environments"), asked_again(theirs._read("measurements"))
        rows, recalled = told_by_commit(rows, conditions, recall)
        for kind, found in (("environments", conditions), ("sources", theirs._read("sources"))):
            self._add_new(kind, found)
        self.append_code(recalled)
        return self._add_new("measurements", rows)

    def _add_new(self, kind: str, theirs: pyarrow.Table) -> int:
        theirs = asked_again(theirs)
        key = "code_sha256" if kind == "sources" else "run_id"
        ours = asked_again(self._read(kind, where={key: theirs[key].unique().to_pylist()}))
        both = pandas.concat([_frame(ours), _frame(theirs)])
        # A row that came before its code was known is the same row.
        told = both.columns.difference(["code_sha256", "torch"] if kind == "measurements" else [])
        known = both.duplicated(subset=list(told)).to_numpy()[len(ours) :]
        fresh = theirs.filter(pyarrow.array(~known))
        if len(fresh):
            self._add(kind, fresh)
        return len(fresh)

    def _add(self, kind: str, rows: pyarrow.Table) -> None:
        self._refuse_exports()
        try:
            self._tables[kind].append(rows)
        except StoreError as error:
            kept = f"{len(rows)} rows of {kind} are not stored; all {self._stored} that this process stored before are"
            raise StoreError(f"{error}. {kept}.") from error
        self._stored += len(rows)

    def _read(
        self, kind: str, names: Sequence[str] | None = None, where: Mapping[str, Any] | None = None
    ) -> pyarrow.Table:
        table = self._tables[kind]
        names = list(names or table.schema.names)
        numbered = kind == "measurements"
        read = list(dict.fromkeys([*names, "schema"])) if numbered else names
        if exports := self._exports():
            rows = asked_again(read_csv([path for path in exports if kind_of(path) == kind], table.schema))
            chosen = matching(where, table.schema)
            rows = (rows if chosen is None else rows.filter(chosen)).select(read)
        else:
            rows = table.read(read, where)
        newest = pyarrow.compute.max(rows["schema"]).as_py() if numbered else None
        if newest is not None and newest > SCHEMA:
            raise StoreError(f"{self.uri} has rows of schema {newest}, this bench reads up to {SCHEMA}. Upgrade bench.")
        return rows.select(names)

    def _exports(self) -> list[Path]:
        """The exported files that the URI stands for; none where it is a store or nothing yet."""
        path = Path(self.uri)
        if path.is_file():
            return [path]
        if "://" in self.uri or any(Path(table.uri).exists() for table in self._tables.values()):
            return []
        return sorted(path.rglob("*.csv"))

    def _refuse_exports(self) -> None:
        if self._exports():
            raise StoreError(f"{self.uri} holds exported files, which are only read. Import them into a store first.")


def _stored_form(record: Measurement | Environment) -> dict[str, Any]:
    """The record as the table keeps it: a timestamp for its text, a null for a value that is no number."""
    if isinstance(record, Measurement) and record.value is not None and not math.isfinite(record.value):
        status = "failed" if record.status == "ok" else record.status
        record = replace(record, value=None, status=status, reason=record.reason or f"the value was {record.value}")
    return {**as_row(record), "started_at": datetime.fromisoformat(record.started_at)}


def _frame(rows: pyarrow.Table) -> pandas.DataFrame:
    if _QUESTION in rows.schema.names:
        position = rows.schema.get_field_index(_QUESTION)
        rows = rows.set_column(position, _QUESTION, rows[_QUESTION].dictionary_encode())
    frame: pandas.DataFrame = rows.to_pandas(types_mapper=_PANDAS.get, split_blocks=True)
    return frame


def _listed(values: pandas.Series) -> str:
    return ", ".join(sorted(values.dropna().unique()))
