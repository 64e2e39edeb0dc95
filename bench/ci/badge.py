"""The outcomes in a few words, as the endpoint that a shields.io badge reads.

Draws no badge.
"""

from collections.abc import Sequence

from bench.ci import wording
from bench.ci.as_json import dumps
from bench.ci.outcome import CiOutcome, Status

# The weightiest status decides; what was only skipped says nothing good or bad.
_COLOURS: dict[Status, str] = {"failed": "red", "error": "orange", "passed": "brightgreen", "skipped": "lightgrey"}


def render(outcomes: Sequence[CiOutcome], label: str = "bench") -> str:
    """shields.io's endpoint schema, version 1: `14 reproduced, 38 not measured` in the colour of the weightiest."""
    statuses = {outcome.status for outcome in outcomes}
    colour = next((colour for status, colour in _COLOURS.items() if status in statuses), "lightgrey")
    message = wording.counts(outcomes) or "nothing judged"
    return dumps({"schemaVersion": 1, "label": label, "message": message, "color": colour})
