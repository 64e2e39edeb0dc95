"""`bench run --until decided` measures as many seeds as the open claims need; real runs of a made measure."""

import math

import scipy.stats

from bench.statistics.looks import confidence, seeds_until
from bench.store import Store
from tests import making
from tests.making import bench

PLUGIN = """
import random
from torch import nn
from bench.records.measurement import Reading
from bench.records.metrics import Metric, register
from bench.registry import measures, models

register(Metric("score_pct", "%", "higher", 1, "noisy", "a made score", depends="data"))

@models.register("nothing")
def nothing(*, num_classes, image_size, centre=80.0, sd=0.1):
    return nn.Linear(1, 1)

@measures.register("noisy")
def noisy(case, context):
    draw = random.Random(f"{case.seed} {case.model_args['centre']}")
    yield Reading("score_pct", draw.gauss(case.model_args["centre"], case.model_args["sd"]))
"""


def model(key: str, centre: float, sd: float) -> str:
    return f"""
[models.{key}]
factory = "nothing"
label = "{key}"
num_classes = 10
image_size = 32
args = {{ centre = {centre}, sd = {sd} }}
[quantities.{key}_score]
metric = "score_pct"
model = "{key}"
[claims.{key.upper()}]
says = "{key} reaches 80 %"
kind = "retrain"
source = "paper"
where = "Table 1"
published = 80.0
unit = "%"
measured = "{key}_score"
tolerance = 1.0
tolerance_why = "made"
"""


def folder(tmp_path, *models: str):
    text = making.suite_text(
        making.PAPER,
        '[measures.noisy]\nmodels = ["*"]\nseeds = 6\n[profiles.full]\nlabel = "full"\nreduced = false',
        '[profiles.quick]\nlabel = "quick"\nreduced = true\nseeds = 1',
        *models,
        plugins=["noisy.py"],
    )
    (tmp_path / "noisy.py").write_text(PLUGIN, encoding="utf-8")
    (tmp_path / "made.toml").write_text(text, encoding="utf-8")
    return tmp_path


def seeds_of(where) -> dict[str, int]:
    """How many seeds there are of each model."""
    return Store(str(where / "results" / "store")).load().groupby("model")["seed"].nunique().to_dict()


def test_each_claim_stops_at_the_seed_that_decides_it_and_the_others_go_on(tmp_path):
    calm = model("calm", 80.0, 0.01).replace('measured = "calm', 'min_seeds = 3\nmeasured = "calm')
    where = folder(tmp_path, model("far", 70.0, 0.02), model("edge", 81.0, 0.5), calm)
    done = bench("run", "made.toml", "--until", "decided", "--jobs", "2", cwd=where, code=1)
    assert seeds_of(where) == {
        "far": 2,
        "edge": 6,
        "calm": 3,
    }  # ten points off is plain from two; on the edge all six are open
    assert "FAR contradicted with 2 of 6 seeds" in done.stderr
    assert "CALM reproduced with 3 of 6 seeds" in done.stderr  # no recipe, and yet it asks for three
    assert "7 of 18 cases were not needed: what they could decide is decided" in done.stderr


def test_the_plan_says_how_many_seeds_each_open_claim_will_probably_need_and_what_they_cost(tmp_path):
    where = folder(tmp_path, model("near", 80.4, 0.35), model("far", 70.0, 0.02), model("fresh", 70.5, 0.02))
    bench("run", "made.toml", "--seeds", "2", "--exclude", "noisy/fresh/*", "--in-process", cwd=where, code=None)
    told = bench("run", "made.toml", "--until", "decided", "--dry-run", cwd=where).stderr
    assert "FRESH: at least 2 of 6 seeds (0 there): 2 cases, about 20 s" in told
    assert "FAR:" not in told  # it is decided
    (line,) = [line for line in told.splitlines() if line.startswith("NEAR: ")]
    assert "of 6 seeds (2 there)" in line
    assert "until decided, all together: " in told
    assert seeds_of(where) == {"near": 2, "far": 2}


def test_what_a_reduced_profile_measures_is_never_decided_so_nobody_waits_for_it(tmp_path):
    where = folder(tmp_path, model("far", 70.0, 0.02))
    done = bench("run", "made.toml", "--until", "decided", "--profile", "quick", cwd=where, code=2)
    assert "profile 'quick' of suite 'made' is reduced" in done.stderr
    assert "Name a full one with --profile: full" in done.stderr


def test_the_seeds_that_will_probably_do_are_the_first_whose_interval_ends_before_the_edge():
    def half(n: int) -> float:
        return scipy.stats.t.ppf((1 + confidence(n, 6, 2)) / 2, 4 + n - 2) * 0.3 / math.sqrt(n)

    wanted = next(n for n in range(3, 7) if half(n) <= 0.4)
    assert seeds_until(0.4, sd=0.3, df=4, have=2, planned=6, first=2) == wanted == 5
    assert seeds_until(0.01, sd=0.3, df=4, have=2, planned=6, first=2) is None
