"""Outcomes as JSON for a program, and what may stand in JSON at all.

Rounds nothing and leaves nothing out; a number that JSON does not know (NaN, infinity) becomes null.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from pydantic_core import to_json

from bench.ci.outcome import CiOutcome


def render(outcomes: Sequence[CiOutcome], about: Mapping[str, Any] | None = None) -> str:
    """The outcomes in their order, after how many there are of each status.

    Args:
        about: what else stands at the top, such as the environment.
    """
    tally = Counter(outcome.status for outcome in outcomes)
    return dumps({**(about or {}), "tally": dict(tally), "outcomes": [asdict(outcome) for outcome in outcomes]})


def dumps(content: Any) -> str:
    """JSON text with a final newline: indented, UTF-8, no NaN."""
    return to_json(content, indent=2, inf_nan_mode="null").decode("utf-8") + "\n"


def plain(value: Any) -> Any:
    """The value without infinity and NaN, which CSV cannot hold: null in their place."""
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
