"""Rows of an older bench, asked again: the question of each in today's form, and the id that follows from it.

Changes no value: only what says which question a row answers.
"""

import json

import pyarrow
import pyarrow.compute

from bench.plan.case import asked_today, id_of
from bench.records.measurement import canonical_json

_QUESTION, _ID = "params_json", "case_id"


def asked_again(rows: pyarrow.Table) -> pyarrow.Table:
    """The rows with `params_json` and `case_id` as this bench writes them; a question in today's form keeps its id.

    So an export of a version that kept recipes as they were written answers the same cases as a run of today.
    """
    if not {_QUESTION, _ID} <= set(rows.schema.names):
        return rows
    texts = rows[_QUESTION].unique().to_pylist()  # one long text stands in many rows
    moved = {text: again for text in texts if text and (again := _again(text)) != text}
    if not moved:
        return rows
    found = zip(rows[_QUESTION].to_pylist(), rows[_ID].to_pylist(), strict=True)
    ids = {text: id_of(json.loads(again)) for text, again in moved.items()}
    questions, cases = zip(*((moved.get(text, text), ids.get(text, case)) for text, case in found), strict=True)
    for name, values in ((_QUESTION, questions), (_ID, cases)):
        position = rows.schema.get_field_index(name)
        rows = rows.set_column(position, name, pyarrow.chunked_array([pyarrow.array(values, pyarrow.string())]))
    return rows


def _again(text: str) -> str:
    try:
        question = json.loads(text)
    except ValueError:  # not ours to judge: it answers no question
        return text
    return canonical_json(asked_today(question)) if isinstance(question, dict) and question.get("recipe") else text
