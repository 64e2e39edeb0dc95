"""How long a thousand claims take over a hundred thousand rows. Prints figures; a slow machine fails nothing."""

import random

import pandas
import pytest

from bench.plan.case import Case
from bench.plan.planner import plan
from bench.records.measurement import Measurement, columns
from bench.records.metrics import METRICS
from bench.suite.schema import Suite
from bench.verdicts import judge, tally
from tests import making

MODELS = 250  # four claims on each


@pytest.fixture(scope="module")
def suite() -> Suite:
    each = range(MODELS)
    claims = {f"P{i}": {"kind": "recount", "published": 5, "unit": "parameters", "measured": f"p{i}"} for i in each}
    claims |= {
        f"A{i}": {"kind": "retrain", "published": 50, "unit": "%", "measured": f"a{i}", "tolerance": 1.0} for i in each
    }
    claims |= {f"D{i}": {"kind": "ordering", "unit": "points", "measured": f"a{i} - a0", "above": 0.0} for i in each}
    claims |= {f"F{i}": {"kind": "open", "unit": "ratio", "measured": f"f{i} / f0"} for i in each}
    metrics = {"p": "params", "a": "test_top1_pct", "f": "fps"}
    return making.suite(
        id="big",
        models={f"m{i}": {"factory": "mlp", "label": f"M{i}", "args": {"width": i}} for i in each},
        datasets={"cifar": {"name": "cifar10", "label": "CIFAR-10", "classes": 10}},
        recipes={
            "run": {
                "label": "as run",
                "settings": {"epochs": 30, "batch_size": 8, "optimizer": "adamw", "lr": 1e-3},
            }
        },
        measures={
            "static": {"models": ["*"]},
            "timing": {"models": ["*"], "batch_sizes": [1]},
            "accuracy": {"models": ["*"], "datasets": ["cifar"], "recipes": ["run"], "seeds": 3},
        },
        profiles={"paper": {"label": "paper", "reduced": False}},
        quantities={f"{key}{i}": {"metric": metrics[key], "model": f"m{i}"} for key in metrics for i in each},
        claims={key: making.claim(**claim) for key, claim in claims.items()},
    )


def rows(case: Case, draw: random.Random) -> list[dict]:
    row = {
        **dict.fromkeys(columns(Measurement)),
        **{"run_id": "run1", "case_id": case.id, "suite": "big", "profile": "paper", "model": case.model},
        **{
            "started_at": "2026-01-01T00:00:00",
            "device": "cpu",
            "device_name": "Xeon",
            "threads": 2,
            "seed": case.seed,
        },
        **{"precision": "float32", "status": "ok", "dataset_sha256": "d", "n_train": 50_000, "n_test": 10_000},
    }
    if case.measure == "static":
        found = [{"metric": "params"}, *({"metric": "params_by_module", "part": f"block{i}"} for i in range(20))]
    elif case.measure == "timing":
        found = [{"metric": "fps", "repeat": repeat} for repeat in range(20)]
    else:
        metrics = ("test_top1_pct", "test_loss", "train_top1_pct", "train_loss")
        found = [{"metric": metric, "epoch": epoch} for metric in metrics for epoch in range(1, 31)]
    return [row | {"value": 50 + draw.random(), "protocol": METRICS[each["metric"]].protocol} | each for each in found]


def test_a_thousand_claims_over_a_hundred_thousand_rows(benchmark, suite):
    draw = random.Random(0)
    made = [row for case in plan(suite, "0", "paper") for row in rows(case, draw)]
    frame = pandas.DataFrame(made, columns=list(columns(Measurement))).convert_dtypes()
    verdicts = benchmark.pedantic(judge, (suite, "0", frame), {"suite_path": "big.toml"}, rounds=3)
    assert (len(verdicts), len(frame) >= 100_000) == (1_000, True)
    assert tally(verdicts)["not measured"] == 0
