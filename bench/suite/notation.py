"""What `printed` says of the keys beside it: value, unit, tolerance and its reason.

Overrules nothing that is written: two keys that say different things are a mistake, which is told.
"""

from typing import Annotated, Any

from pydantic import AfterValidator, Field, ValidationInfo

from bench.records.printed import read
from bench.suite.fields import Text

_BANDS = ("tolerance", "above", "below", "between")


def filled(raw: Any, value: str) -> Any:
    """A raw table with what `printed` says filled in; as it is where there is none, or it cannot be read.

    Args:
        value: the key that holds the number, `published` or `value`.
    """
    if not isinstance(raw, dict) or not isinstance(raw.get("printed"), str):
        return raw
    unit = raw.get("unit")
    try:
        found = read(raw["printed"], unit if isinstance(unit, str) else None)
    except ValueError:
        return raw  # the key has its own word for it
    told = {value: found.value, "unit": found.unit}
    if value == "published" and raw.get("kind") != "open" and not any(key in raw for key in _BANDS):
        told |= {"tolerance": found.tolerance, "tolerance_why": found.why}
    return {**told, **raw}


def _fits(text: str, info: ValidationInfo) -> str:
    """Checked after the keys beside it. Raises ValueError where it cannot be read, or says something else."""
    unit = info.data.get("unit")
    found = read(text, unit)
    for key in ("published", "value"):
        beside = info.data.get(key)
        if beside is not None and beside != found.value:
            both = f"{found.value:.12g} {found.unit}, and {key} says {beside:.12g}"
            raise ValueError(f"'{text}' is {both}: leave one out")
    return text


PrintedText = Annotated[
    Text,
    AfterValidator(_fits),
    Field(examples=["73 M", "1.9×10^4 GFLOPs", "75.96 %", "60 MB", "46.5 ± 0.3 s"]),
]
