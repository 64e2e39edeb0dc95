"""Whether the names in a suite mean something: models, data sets, recipes, quantities, checks.

Reads what parsed of a suite, so that names are checked also where another table is wrong; builds and imports nothing.
"""

from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase

from pydantic import BaseModel

from bench.cost.devices import DEVICES
from bench.errors import UsageError, near
from bench.registry import Registry, datasets, measures, models
from bench.suite import answer, expression, units_of
from bench.suite.arguments import data_problems, model_problems, option_problems, parameters
from bench.suite.claim import Check
from bench.suite.command_problems import command_problems
from bench.suite.draft import UNREAD, Draft
from bench.suite.evaluations import evaluation_problems
from bench.suite.exhibits import Printed, PrintedRow
from bench.suite.trainings import training_problems

# The names that `follows` may use, and those that `measured` may; None where they cannot be told.
_Usable = tuple[list[str] | None, list[str] | None]


def reference(text: str) -> tuple[str, int]:
    """`C3` -> ("C3", 0), the main check; `C3.2` -> ("C3", 2). Raises ValueError where the number is none."""
    claim, _, number = text.partition(".")
    return claim, int(number or 0)


def reference_problems(draft: Draft) -> Iterator[str]:
    """Every name in a suite that means nothing, with the nearest ones that do, and all that does not fit together."""
    yield from _model_problems(draft)
    unsound: set[str] = set()
    yield from _dataset_problems(draft, unsound)
    yield from evaluation_problems(draft)
    for key, recipe in draft.suite.recipes.items():
        yield from _unknown(f"recipes.{key}", "source", recipe.source, "source", draft.known("sources"))
    yield from _measure_problems(draft)
    yield from command_problems(draft)
    yield from _profile_problems(draft)
    yield from training_problems(draft, set(draft.suite.datasets) - unsound)
    yield from _quantity_problems(draft)
    yield from _drawn_problems(draft)
    usable = _values(draft, measured=False), _values(draft, measured=True)
    for key, claim in draft.suite.claims.items():
        yield from _unknown(f"claims.{key}", "source", claim.source, "source", draft.known("sources"))
        yield from _check_problems(draft, usable, claim, "claims", key)
        for number, check in enumerate(claim.also):
            yield from _check_problems(draft, usable, check, "claims", key, "also", number)
    yield from _answer_problems(draft)
    yield from _guard_problems(draft)
    for key, table in draft.suite.tables.items():
        yield from _printed_problems(draft, key, table)


def _unknown(table: str, key: str, value: str | None, kind: str, known: Sequence[str] | None) -> Iterator[str]:
    """A name that is not there. What was left out, or could not be read, has no name to look for."""
    if value not in (None, UNREAD) and known is not None and value not in known:
        yield f"[{table}]: {key}: no {kind} '{value}'.{near(value, list(known))}"


def _registered(table: str, key: str, value: str, registry: Registry) -> Iterator[str]:
    if value != UNREAD and not registry.knows(value):
        yield f"[{table}]: {key}: {registry.unknown(value)}"


def _model_problems(draft: Draft) -> Iterator[str]:
    for key, model in draft.suite.models.items():
        if not model.factory:
            continue  # `command_problems` has the word for it
        yield from _registered(f"models.{key}", "factory", model.factory, models)
        known = parameters(models, model.factory)
        yield from model_problems(f"[models.{key}.args]", model.factory, model.args, known)


def _dataset_problems(draft: Draft, unsound: set[str]) -> Iterator[str]:
    """What is wrong with data sets; the keys of those whose arguments are go into `unsound`."""
    for key, dataset in draft.suite.datasets.items():
        yield from _registered(f"datasets.{key}", "name", dataset.name, datasets)
        known = parameters(datasets, dataset.name)
        problems = list(data_problems(f"[datasets.{key}.args]", dataset.name, dataset.args, known))
        if problems or not draft.sound("datasets", key):
            unsound.add(key)
        yield from problems


def _measure_problems(draft: Draft) -> Iterator[str]:
    known = draft.known("models")
    for key, measure in draft.suite.measures.items():
        table, name = f"measures.{key}", measure.measure or key
        if draft.sound("measures", key, "measure"):
            yield from _registered(table, "measure", name, measures)
            takes = parameters(measures, name)
            yield from option_problems(f"[{table}.options]", measure.options, takes)
            yield from _versus_problems(table, name, measure.versus, takes)
        for pattern in measure.models if known is not None else ():
            if pattern != UNREAD and not any(fnmatchcase(model, pattern) for model in known or ()):
                yield f"[{table}]: models: no model matches '{pattern}'.{near(pattern, known or [])}"
        yield from _unknown(table, "versus", measure.versus, "model", known)
        for field, names in (("datasets", measure.datasets), ("recipes", measure.recipes)):
            for each in names:
                yield from _unknown(table, field, each, field[:-1], draft.known(field))


def _versus_problems(table: str, name: str, versus: str | None, takes: dict[str, str] | None) -> Iterator[str]:
    if takes is None or name not in measures.names():
        return
    if versus is None and "versus" in takes:
        yield f"[{table}]: key 'versus' is missing: '{name}' compares two models"
    if versus is not None and "versus" not in takes:
        yield f"[{table}]: versus: '{name}' looks at one model alone"


def _profile_problems(draft: Draft) -> Iterator[str]:
    suite = draft.suite
    if sum(profile.default for profile in suite.profiles.values()) > 1:
        yield "[profiles]: more than one profile is the default"
    if draft.names.get("measures") and draft.known("profiles") == []:
        yield "[profiles]: key 'profiles' is missing: a suite that measures says how much, in at least one profile"
    for key, profile in suite.profiles.items():
        for name in profile.skip:
            yield from _unknown(f"profiles.{key}", "skip", name, "measure", draft.known("measures"))
        for pair in profile.datasets.items():
            for name in dict.fromkeys(pair):
                yield from _unknown(f"profiles.{key}.datasets", pair[0], name, "dataset", draft.known("datasets"))


def _quantity_problems(draft: Draft) -> Iterator[str]:
    claims = draft.known("claims") or []
    for key, quantity in draft.suite.quantities.items():
        table, wrote = f"quantities.{key}", draft.wrote(quantity, "quantities", key)
        if key in claims:
            yield f"[{table}]: a claim has the same name; an expression could not tell them apart"
        if ("value" in wrote) == ("metric" in wrote):
            yield f"[{table}]: needs either 'value' (a constant) or 'metric' (a measured number)"
        if "value" in wrote and not {"unit", "source"} <= wrote:
            yield f"[{table}]: a constant needs 'unit' and 'source'"
        yield from _names_in(draft, table, quantity, ("source", "model", "dataset", "recipe", "measure"))


def _drawn_problems(draft: Draft) -> Iterator[str]:
    for key, curve in draft.suite.curves.items():
        yield from _names_in(draft, f"curves.{key}", curve, ("source", "model", "dataset"))
    for key, cost in draft.suite.costs.items():
        yield from _names_in(draft, f"costs.{key}", cost, ("source", "model", "dataset", "recipe"))


def _names_in(draft: Draft, table: str, record: BaseModel, fields: Sequence[str]) -> Iterator[str]:
    for field in fields:
        yield from _unknown(table, field, getattr(record, field), field, draft.known(f"{field}s"))


def _answer_problems(draft: Draft) -> Iterator[str]:
    """Conditions that cannot be read, and claims and checks that are not there."""
    for number, outcome in enumerate(draft.suite.answer):
        table = f"answer.{number}"
        try:
            asked, told = answer.references(outcome)
        except UsageError as error:
            yield f"[{table}]: when: {error}"
            continue
        for key, names in (("when", asked), ("says", told)):
            for name in names:
                claim, _, place = name.partition(".")
                yield from _unknown(f"{table}", key, claim, "claim", draft.known("claims"))
                if not place or claim not in draft.suite.claims or not draft.sound("claims", claim):
                    continue
                checks = len(draft.suite.claims[claim].checks)
                if not place.isdecimal() or int(place) >= checks:
                    yield f"[{table}]: {key}: {claim} has no check {place}; its checks are 0 to {checks - 1}"


def _guard_problems(draft: Draft) -> Iterator[str]:
    for key, guard in draft.suite.guards.items():
        yield from _unknown(f"guards.{key}", "model", guard.model, "model", draft.known("models"))
    if draft.known("claims") == [] and draft.known("guards") == []:
        yield "[top level]: nothing to answer: a suite needs at least one of [claims.…] and [guards.…]"


def _check_problems(draft: Draft, usable: _Usable, check: Check, *place: str | int) -> Iterator[str]:
    table, wrote = ".".join(str(part) for part in place), draft.wrote(check, *place)
    yield from _expression_problems(f"[{table}]: follows:", check.follows, usable[0], check.unit, draft)
    yield from _expression_problems(f"[{table}]: measured:", check.measured, usable[1], check.unit, draft)
    bands = [key for key in ("tolerance", "above", "below", "between") if key in wrote]
    if len(bands) > 1:
        yield f"[{table}]: only one of tolerance, above, below, between; found {' and '.join(bands)}"
    if bands and "tolerance_why" not in wrote:
        yield f"[{table}]: '{bands[0]}' needs 'tolerance_why': the reason for the band"
    if "tolerance" in wrote and "published" not in wrote:
        yield f"[{table}]: 'tolerance' needs 'published'"
    if "published" in wrote and "unit" not in wrote:
        yield f"[{table}]: 'published' needs 'unit'"
    if not {"measured", "follows", "unavailable"} & wrote:
        yield f"[{table}]: nothing decides it: needs 'measured', 'follows' or 'unavailable'"
    if check.kind != "open" and "measured" in wrote and not bands and "published" not in wrote:
        yield f"[{table}]: 'measured' needs a band: 'published' (with 'tolerance'), 'above', 'below' or 'between'"


def _values(draft: Draft, measured: bool) -> list[str] | None:
    """The names that an expression may use: published numbers and constants, and what is `measured`."""
    if draft.known("quantities") is None or draft.known("claims") is None:
        return None
    suite = draft.suite
    # A table that was refused may be one or the other.
    quantities = [
        key
        for key in draft.names.get("quantities", [])
        if measured or key not in suite.quantities or "value" in draft.wrote(suite.quantities[key], "quantities", key)
    ]
    claims = draft.names.get("claims", [])
    published = [
        key for key in claims if key not in suite.claims or "published" in draft.wrote(suite.claims[key], "claims", key)
    ]
    return quantities + published


def _expression_problems(
    where: str, text: str | None, known: list[str] | None, unit: str | None, draft: Draft
) -> Iterator[str]:
    if text is None:
        return
    try:
        used = expression.names(text)
    except UsageError as error:
        yield f"{where} {error}"
        return
    for name in used if known is not None else ():
        if name not in (known or ()):
            yield f"{where} no quantity '{name}'.{near(name, known or [])}"
    if known is not None and set(used) <= set(known):
        yield from (f"{where} {problem}" for problem in units_of.problems(text, unit, draft.named, draft.published))


def _printed_problems(draft: Draft, key: str, table: Printed) -> Iterator[str]:
    """What is wrong with the references of a printed table."""
    yield from _unknown(f"tables.{key}", "source", table.source, "source", draft.known("sources"))
    for column in table.columns:
        yield from _unknown(f"tables.{key}", "device", column.device, "device", list(DEVICES))
    for number, row in enumerate(table.rows):
        yield from _printed_row_problems(draft, f"tables.{key}.rows.{number}", row, len(table.columns))


def _printed_row_problems(draft: Draft, table: str, row: PrintedRow, columns: int) -> Iterator[str]:
    yield from _unknown(table, "training", row.training, "cost", draft.known("costs"))
    if len(row.checks) > columns:
        yield f"[{table}]: checks: {len(row.checks)} for {columns} columns"
    for text in filter(None, row.checks):
        claim, dot, number = text.partition(".")
        yield from _unknown(table, "checks", claim, "claim", draft.known("claims"))
        if not dot or claim not in draft.suite.claims or not draft.sound("claims", claim, "also"):
            continue
        also = len(draft.suite.claims[claim].also)
        # `isdigit` alone is true of "²", which is no number to `int`.
        if not (number.isascii() and number.isdigit() and int(number[:9]) <= also):
            yield f"[{table}]: checks: {claim} also says {also} things, not a '{number}'"
