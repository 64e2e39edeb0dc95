"""Whether the commands of a suite can be run as they are written: placeholders, seeds, models that nothing builds.

Looks at no file.
"""

from collections.abc import Iterator
from fnmatch import fnmatchcase

from bench.errors import near
from bench.records.metrics import METRICS
from bench.suite.command import OF_A_COMMAND, PLACEHOLDERS, names_in
from bench.suite.draft import Draft
from bench.suite.schema import MeasureTable, Suite

_NOT_OF_A_COMMAND = ("options", "recipes", "versus")
_AXES = (("datasets", "dataset"), ("batch_sizes", "batch_size"), ("image_sizes", "image_size"))


def command_problems(draft: Draft) -> Iterator[str]:
    """What is wrong with the commands of a suite."""
    suite = draft.suite
    for key, measure in suite.measures.items():
        table, name = f"[measures.{key}]", measure.measure or key
        wrote = draft.wrote(measure, "measures", key)
        if name != "command":
            for field in (each for each in OF_A_COMMAND if each in wrote):
                yield f"{table}: {field}: belongs to measure = \"command\", and this one is '{name}'"
            continue
        yield from (f"{table}: key '{field}' is missing" for field in ("run", "read") if field not in wrote)
        if "run" in wrote and not measure.run and draft.sound("measures", key, "run"):
            yield f"{table}: run: names no program"
        for field in (each for each in _NOT_OF_A_COMMAND if each in wrote):
            yield f"{table}: {field}: a command has none; what it needs to be told stands in run and values"
        if measure.run:
            yield from _run_problems(table, suite, measure)
    yield from _label_problems(draft)
    known = {name for measure in suite.measures.values() for name in measure.values}
    for key, profile in suite.profiles.items():
        for name in (each for each in profile.values if each not in known):
            yield f"[profiles.{key}.values]: no value '{name}' in any measure.{near(name, sorted(known))}"


def _run_problems(table: str, suite: Suite, measure: MeasureTable) -> Iterator[str]:
    try:
        used = names_in(measure.run)
    except ValueError as error:
        yield f"{table}: run: {error}"
        return
    chosen = [key for key in suite.models if _names(measure, key)]
    yield from _unknown_names(table, suite, measure, used, chosen)
    several = len(measure.seeds) > 1 if isinstance(measure.seeds, list) else measure.seeds > 1
    if several and "seed" not in used:
        yield f"{table}: seeds: run does not use {{seed}}, so that every seed would be the same run"
    for axis, name in _AXES:
        if getattr(measure, axis) and name not in used:
            yield f"{table}: {axis}: run does not use {{{name}}}"
    told_apart = "model" in used or any(set(suite.models[key].args) & set(used) for key in chosen)
    if len(chosen) > 1 and not told_apart:
        same = " and ".join(chosen[:3])
        yield f"{table}: models: {same} would be the same run: name {{model}} in run, or an argument of theirs"
    if len(measure.sources) > 1 and not all(isinstance(source, str) for source in measure.sources):
        yield f"{table}: sources: a git repository stands alone, for the command runs in its checkout"


def _unknown_names(
    table: str, suite: Suite, measure: MeasureTable, used: list[str], chosen: list[str]
) -> Iterator[str]:
    args = dict.fromkeys(name for key in chosen for name in suite.models[key].args)
    for name in used:
        everywhere = bool(chosen) and all(name in suite.models[key].args for key in chosen)
        if name not in PLACEHOLDERS and name not in measure.values and not everywhere:
            yield f"{table}: run: nothing is called '{name}'.{near(name, [*PLACEHOLDERS, *measure.values, *args])}"
    for name in measure.values:
        if name in PLACEHOLDERS:
            yield f"{table}: values: '{name}' has a meaning of its own in run"
        elif name not in used:
            yield f"{table}: values: run does not use {{{name}}}"


def _label_problems(draft: Draft) -> Iterator[str]:
    """A model without a factory is the name of what a command runs, and nothing else can build it."""
    suite = draft.suite
    for key, model in suite.models.items():
        if model.factory or not draft.sound("models", key, "factory"):
            continue
        by = {name: measure for name, measure in suite.measures.items() if _names(measure, key)}
        if not any(measure.run for measure in by.values()):
            yield f"[models.{key}]: key 'factory' is missing: only what a command runs needs none"
        for name, measure in by.items():
            what = measure.measure or name
            if not measure.run and key in measure.models and _builds(what):
                yield f"[measures.{name}]: models: '{key}' has no factory, and '{what}' builds it"
        for guard in (name for name, guard in suite.guards.items() if guard.model == key):
            yield f"[guards.{guard}]: model: '{key}' has no factory, and a check builds it"


def _names(measure: MeasureTable, key: str) -> bool:
    return any(fnmatchcase(key, pattern) for pattern in measure.models)


def _builds(measure: str) -> bool:
    """Whether it is one of bench's own, all of which build their models."""
    return measure in {metric.measure for metric in METRICS.values()}
