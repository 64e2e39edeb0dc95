"""Whatever stands in a suite file, reading, planning and forecasting it ends in a plan or in words for its author.

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
from bench.suite import read
from bench.suite.schema import Suite

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
SUITES = [tomllib.loads(SMALL)] * 6 + [tomllib.loads(path.read_text()) for path in sorted(ROOT.glob("suites/*.toml"))]


def places(value, way=()):
    """Every place below a table or a list."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, below in inner:
        yield (*way, key)
        yield from places(below, (*way, key))


PLACES = [list(places(suite)) for suite in SUITES]
WORDS = sorted({str(way[-1]) for ways in PLACES for way in ways})
VALUES = st.one_of(
    st.sampled_from([
        math.nan, math.inf, -math.inf, 0, -1, 1, 2, 0.0, 1.0, -0.5, 1e308, 10**30, -(10**400), True, False, "", "x",
        "*", "²", "X1.²", "C3.", "S/99", "k", "k / 0", "last", [], [[]], {}, [0], [1, 1],
        {"name": "onecycle", "pct_start": 1.0}, datetime.date(2020, 1, 1), datetime.time(1), [1, 0.5], "timm:x", "…",
        {"name": "crop", "padding": 64}, list(range(2000)), {"a": {"b": {"c": [{"d": 1}]}}},
    ]),
    st.sampled_from(WORDS), st.integers(), st.floats(), st.integers(1, 40),
    st.text(st.characters(min_codepoint=32, max_codepoint=0x3FF, exclude_characters="\x7f"), max_size=12),
)  # fmt: skip
WHAT = st.sampled_from(["set", "set", "cut", "rename", "add", "move"])
MUTATIONS = st.tuples(WHAT, st.integers(0), VALUES, st.integers(0))


def mutated(number: int, mutations) -> dict:
    raw = copy.deepcopy(SUITES[number])
    ways = PLACES[number]
    for what, at, value, other in mutations:
        way = ways[at % len(ways)]
        try:
            table = raw
            for part in way[:-1]:
                table = table[part]
            old = copy.deepcopy(table[way[-1]])
        except (KeyError, IndexError, TypeError):
            continue  # gone by an earlier mutation
        if what == "cut" or what == "rename":
            del table[way[-1]]
        if what == "set":
            table[way[-1]] = copy.deepcopy(value)
        elif what == "rename" and isinstance(table, dict):
            table[str(value)] = old
        elif what == "add" and isinstance(old, (dict, list)):
            here = table[way[-1]]
            if isinstance(here, dict):
                here[WORDS[other % len(WORDS)]] = copy.deepcopy(value)
            else:
                here.append(copy.deepcopy(value))
        elif what == "move" and isinstance(table, dict):
            table[WORDS[other % len(WORDS)]] = old
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


@settings(
    max_examples=EXAMPLES, deadline=None, database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)  # fmt: skip
@given(number=st.integers(0, len(SUITES) - 1), mutations=st.lists(MUTATIONS, min_size=1, max_size=4))
def test_a_mutated_suite_is_refused_in_words_or_planned_and_forecast(path, number, mutations):
    raw = mutated(number, mutations)
    path.write_text("\n".join(f"{json.dumps(key, ensure_ascii=False)} = {toml(raw[key])}" for key in raw), "utf-8")
    suite, problems = loaded(path)
    event("planned" if suite else "refused")
    assert all(problem.startswith(str(path)) for problem in problems)
    assert max(map(len, problems), default=0) < 5_000
    assert len(set(problems)) == len(problems)
    for profile in suite.profiles if suite else ():
        for device in ("cpu", "cuda"):
            try:
                cases = plan(suite, "", profile, device)
            except UsageError:
                continue
            assert len({case.id for case in cases}) == len(cases)
            length, _ = total(cases, cores=2)
            assert usd(length, "Tesla T4") >= 0


@pytest.mark.parametrize("number", range(len(SUITES)))
def test_what_is_mutated_is_sound_before(path, number):
    raw = SUITES[number]
    path.write_text("\n".join(f"{json.dumps(key)} = {toml(raw[key])}" for key in raw), "utf-8")
    assert read.load(path, unanswered)
