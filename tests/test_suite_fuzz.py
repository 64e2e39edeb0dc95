"""Whatever stands in a suite file, reading, planning, forecasting and judging it ends in words and in no traceback.

`BENCH_FUZZ_EXAMPLES=10000 pytest tests/test_suite_fuzz.py` tries harder than a test run does.
"""

import copy
import datetime
import json
import math
import os
import tomllib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from bench.errors import SuiteError, UsageError
from bench.plan.answers import unanswered
from bench.plan.forecast import total, usd
from bench.plan.planner import plan
from bench.records.metrics import METRICS
from bench.suite import read
from bench.suite.schema import Suite
from bench.verdicts.judge import judge, judged_any
from tests import making, material

ROOT = Path(__file__).parent.parent
EXAMPLES = int(os.environ.get("BENCH_FUZZ_EXAMPLES", "300"))
SMALL = """
schema = 1
id = "small"
question = "Does it hold?"
summary = "All tables in a few lines."
sources = { paper = { title = "A paper", kind = "paper" } }
rule = { why = "a test" }
guards = { g = { model = "mixer", why = "a test" } }
models.mixer = { factory = "mlp_mixer", label = "M", image_size = 32, args = { patch_size = 4, width = 8, depth = 2, token_mlp = 4, channel_mlp = 8 } }
models.conv = { factory = "conv_mixer", label = "C", image_size = 32, args = { variant = "256/8" } }
datasets.full = { name = "cifar10", label = "F", classes = 10 }
datasets.part = { name = "cifar10_sample", label = "S", classes = 10, args = { n_train = 2000, n_test = 1000, order = "patches" } }
datasets.made = { name = "synthetic", label = "Y", classes = 4, args = { n_classes = 4, train_fraction = 0.5 } }
measures.static = { models = ["*"] }
measures.timing = { models = ["mixer"], batch_sizes = [1], seeds = 2, options = { blocks = 3 } }
measures.side_by_side = { models = ["mixer"], versus = "conv" }
measures.accuracy = { models = ["mixer"], datasets = ["full", "made"], recipes = ["short", "points"], seeds = [0, 2] }
profiles.quick = { label = "q", reduced = true, default = true, seeds = 1, datasets = { full = "part" }, recipe = { epochs = 1, precision = "bfloat16" } }
profiles.paper = { label = "p", reduced = false, skip = ["timing"] }
quantities.k = { value = 3, unit = "1", source = "paper" }
quantities.size = { metric = "params", model = "mixer" }
quantities.speed = { metric = "latency_s", model = "mixer" }
quantities.top1 = { metric = "test_top1_pct", model = "mixer", dataset = "full", recipe = "short", at = [1, 2] }
costs.c = { model = "mixer", images = 50000, epochs = 3, label = "c" }
curves.v = { file = "c.csv", metric = "test_top1_pct", model = "mixer", dataset = "full", source = "paper", label = "l", column = "c", where = { seed = 1 } }
[recipes.short]
label = "short"
settings = { epochs = 4, batch_size = 128, optimizer = "adamw", lr = 1e-3, normalize = { mean = [0.5, 0.5, 0.5], std = [1, 1, 1] }, schedule = { name = "onecycle", step = "batch", warmup_epochs = 1 }, augment = [{ name = "flip" }, { name = "crop" }, { name = "erasing", scale = [0.1, 0.2] }] }
[recipes.points]
label = "points"
settings = { epochs = 4, batch_size = 128, optimizer = "sgd", schedule = { name = "piecewise", points = [[0, 0], [0.5, 0.1], [1, 0]] }, drop_last = true }
[claims.X1]
says = "It has 5 parameters"
kind = "recount"
source = "paper"
where = "Table 1"
published = 5
unit = "parameters"
measured = "size - k"
follows = "k + 2"
tolerance = 0.0
tolerance_why = "a count"
also = [{ says = "fast", kind = "speed", measured = "speed", below = 1.0, tolerance_why = "so", min_seeds = 2 }]
[tables.t]
title = "Table 1"
source = "paper"
where = "p. 3"
columns = [{ label = "a" }, { label = "b", device = "t4" }]
rows = [{ group = "g", label = "l", checks = ["X1", "X1.1"], training = "c" }]
"""  # noqa: E501
TEXT = [SMALL, *(path.read_text() for path in sorted(ROOT.glob("suites/*.toml")))]
SUITES = [tomllib.loads(text) for text in [SMALL] * 6 + TEXT[1:]]


def places(value, way=()):
    """Every place below a table or a list."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, below in inner:
        yield (*way, key)
        yield from places(below, (*way, key))


PLACES = [list(places(suite)) for suite in SUITES]
WORDS = sorted({str(way[-1]) for ways in PLACES for way in ways})
DEEP = [["x"]]
for _ in range(16):
    DEEP = [DEEP]  # type: ignore[list-item]
EXPRESSIONS = [
    "k * size", "size ** 400", "10 ** 10 ** 10", "((((", ")", "1e400", "k if k else 2", "__import__('os')", "size[0]",
    "k.real", "k = 2", "lambda: k", "-" * 3000 + "k", "k +" * 2000 + "k", "max()", "sqrt(-k)",
    "(0 - k) ** 0.5", "0 / 0",
    "size / (k - 3)", "X1 + X1.1", "top1 - top1", "speed * k", "exponent(k, k)", "k\n+ k", "κ + k", "k # no",
]  # fmt: skip
TEXTS = [
    "", " ", "x", "*", "?*[", "²", "X1.²", "C3.", "S/99", "timm:x", "timm:", ":", "…", "last", "\n", "\t", "\x00",
    "\x1b[31m",
    "\u202e\u0645", "\U0001f980", "e\u0301", "\u200b", "a" * 20_000, "../..", "~", "/dev/null", "-", "%s{}", "<b>",
    "'; --",
]  # fmt: skip
VALUES = st.one_of(
    st.sampled_from([
        math.nan, math.inf, -math.inf, 0, -1, 1, 2, 0.0, -0.0, 1.0, -0.5, 1e308, 5e-324, 2**53 + 1, 2**63, 10**30,
        -(10**400), True, False, [], [[]], [{}], {}, [0], [1, 1], [1, "x", {}], DEEP,
        {"name": "onecycle", "pct_start": 1.0}, datetime.date(2020, 1, 1), datetime.time(1),
        datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC), [1, 0.5],
        {"name": "crop", "padding": 64}, list(range(2000)),
        {"": {"": ""}}, {"a": {"b": {"c": [{"d": 1}]}}}, {f"k{n}": n for n in range(300)},
    ]),
    st.sampled_from(WORDS), st.sampled_from(TEXTS), st.sampled_from(EXPRESSIONS), st.integers(), st.floats(),
    st.integers(1, 40),
    st.text(st.characters(min_codepoint=32, max_codepoint=0x3FF, exclude_characters="\x7f"), max_size=12),
)  # fmt: skip
WHAT = st.sampled_from(["set", "set", "cut", "rename", "add", "move", "twice", "graft", "swap"])
MUTATIONS = st.tuples(WHAT, st.integers(0), VALUES, st.integers(0))


def at(raw, way):
    """What holds the last key of a way, or the last place of a list; None where an earlier mutation took it."""
    here = raw
    try:
        for part in way[:-1]:
            here = here[part]
        here[way[-1]]
    except (KeyError, IndexError, TypeError):
        return None
    return here if isinstance(here, (dict, list)) else None


def mutated(number: int, mutations) -> dict:
    raw = copy.deepcopy(SUITES[number])
    ways = PLACES[number]
    for what, place, value, other in mutations:
        way, second = ways[place % len(ways)], ways[other % len(ways)]
        table, there = at(raw, way), at(raw, second)
        if table is None:
            continue
        key, word = way[-1], WORDS[other % len(WORDS)]
        old = copy.deepcopy(table[key])
        if what in ("cut", "rename", "move"):
            del table[key]
        if what == "set":
            table[key] = copy.deepcopy(value)
        elif what in ("rename", "move", "twice") and isinstance(table, dict):
            table[str(value) if what == "rename" else word if what == "move" else f"{key}2"] = old
        elif what == "twice":
            table.append(old)
        elif what == "add" and isinstance(old, dict):
            table[key][word] = copy.deepcopy(value)
        elif what == "add" and isinstance(old, list):
            table[key].append(copy.deepcopy(value))
        elif what in ("graft", "swap") and there is not None and way != second[: len(way)]:
            table[key] = copy.deepcopy(there[second[-1]])
            if what == "swap" and second != way[: len(second)]:
                there[second[-1]] = old
    return raw


def toml(value) -> str:
    """A value as TOML has it, tables inline."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key, ensure_ascii=False)} = {toml(value[key])}" for key in value) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    return str(value).lower() if isinstance(value, bool) else repr(value)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz") / "mutated.toml"


def loaded(path) -> tuple[Suite | None, list[str]]:
    """The suite, or what is wrong with it, which is never nothing."""
    try:
        return read.load(path, unanswered).suite, []
    except SuiteError as error:
        return None, error.problems or ["refused without a word"]


def written(raw: dict) -> str:
    return "\n".join(f"{json.dumps(key, ensure_ascii=False)} = {toml(raw[key])}" for key in raw)


def rows(cases, value, status) -> list:
    """Some rows of some of the cases: values that a clock, a counter or a training could have given."""
    found = []
    for case in cases[:: max(len(cases) // 6, 1)]:
        metrics = [metric for metric in METRICS.values() if metric.measure == case.measure]
        epoch = case.recipe.epochs if case.recipe else None
        for metric in metrics[:8]:
            found += [material.row(case, metric.name, value if status == "ok" else None, status=status, epoch=epoch)]
    return found


def end_to_end(path, value, status, told=event) -> None:
    """Read, plan, forecast and judge what stands in the file, or be told what is wrong with it."""
    suite, problems = loaded(path)
    told("planned" if suite else "refused")
    assert all(problem.startswith(str(path)) for problem in problems)
    assert max(map(len, problems), default=0) < 5_000
    assert len(set(problems)) == len(problems)
    found = []
    for profile in suite.profiles if suite else ():
        for device in ("cpu", "cuda"):
            try:
                cases = plan(suite, "", profile, device)
            except UsageError:
                continue
            assert len({case.id for case in cases}) == len(cases)
            length, _ = total(cases, cores=2)
            assert usd(length, "Tesla T4") >= 0
            found += rows(cases, value, status)
    if suite:
        verdicts = judge(suite, "", material.frame(found) if found else NO_ROWS, suite_path=str(path))
        assert [verdict.claim for verdict in verdicts] == list(suite.claims)
        told("judged some" if judged_any(verdicts) else "judged none")


NO_ROWS = material.frame([making.row()]).iloc[:0]
MEASURED = st.sampled_from([0.0, 1.0, 5.0, 76.7, 1e-9, 1e300, -3.0])
STATUS = st.sampled_from(["ok", "ok", "ok", "failed", "skipped"])
TRIED = settings(
    max_examples=EXAMPLES, deadline=None, database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)  # fmt: skip


@TRIED
@given(
    number=st.integers(0, len(SUITES) - 1), mutations=st.lists(MUTATIONS, min_size=1, max_size=4), value=MEASURED,
    status=STATUS,
)  # fmt: skip
def test_a_mutated_suite_is_refused_in_words_or_planned_and_judged(path, number, mutations, value, status):
    path.write_text(written(mutated(number, mutations)), "utf-8")
    end_to_end(path, value, status)


PIECES = st.sampled_from([
    "", "\n", "=", "[", "]", "[[", "{", "}", "'", '"', '"""', ",", ".", "#", "\\", "\\u00", "\x00", "\r", "nan",
    "1e999",
    "é", "\ufeff", "[models.mixer]\n", "id = 1\n", "[" * 3000, "a." * 3000, "= 1\n" * 3,
])  # fmt: skip
EDITS = st.tuples(st.floats(0, 1), st.integers(0, 40), PIECES, st.booleans())


@TRIED
@given(number=st.integers(0, len(TEXT) - 1), edits=st.lists(EDITS, min_size=1, max_size=3))
def test_a_file_with_typing_errors_is_refused_in_words_or_planned_and_judged(path, number, edits):
    text = TEXT[number]
    for share, length, piece, twice in edits:
        start = int(share * len(text))
        taken = text[start : start + length]
        text = text[:start] + piece + (taken * 2 if twice else "") + text[start + length :]
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    end_to_end(path, 5.0, "ok")


@pytest.mark.parametrize("number", range(len(SUITES)))
def test_what_is_mutated_is_sound_before(path, number):
    path.write_text(written(SUITES[number]), "utf-8")
    assert read.load(path, unanswered)
    end_to_end(path, 5.0, "ok", told=lambda word: None)
