"""Rows that came before rows had a fingerprint or a version of torch are given what their run's record tells.

Changes no value that is there.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

import pyarrow

from bench.plan.fingerprint import Fingerprint

# A run's commit, a case's question and the versions of libraries -> the code behind it, where that can be told.
Recall = Callable[[str, str, Mapping[str, str]], Fingerprint | None]


def told_by_commit(
    rows: pyarrow.Table, environments: pyarrow.Table, recall: Recall
) -> tuple[pyarrow.Table, list[Fingerprint]]:
    """The rows with what can be told of their code and torch, and the fingerprints that were found."""
    # A row without an `environment_id` is of the only environment of its run.
    runs = {(run["run_id"], run["environment_id"]): run for run in environments.to_pylist()}
    known: dict[tuple[str, str], Fingerprint | None] = {}

    def code(run_id: str, question: str, run: Mapping[str, Any]) -> str | None:
        if not run.get("commit") or run.get("dirty") or not question:
            return None
        if (run_id, question) not in known:
            known[run_id, question] = recall(run["commit"], question, json.loads(run.get("packages_json") or "{}"))
        found = known[run_id, question]
        return found.sha256 if found else None

    names = ("code_sha256", "run_id", "params_json", "torch", "environment_id")
    filled = []
    for has, run_id, question, torch, environment_id in zip(*(rows[name].to_pylist() for name in names), strict=True):
        run = runs.get((run_id, environment_id), {})
        filled.append((has or code(run_id, question, run), torch or run.get("torch")))
    for position, name in enumerate(("code_sha256", "torch")):
        column = pyarrow.array([pair[position] for pair in filled], pyarrow.string())
        rows = rows.set_column(rows.schema.get_field_index(name), rows.schema.field(name), column)
    return rows, [found for found in known.values() if found]
