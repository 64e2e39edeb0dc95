"""Verdicts, rows and environments made by hand for the tests of the page: every word, every kind, plausible numbers.

Measures nothing and judges nothing: what the verdicts say is written here, so that the page is tested alone.
"""

import json
import math
import random
import tomllib
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd

from bench.plan.case import Case
from bench.plan.planner import plan
from bench.records.measurement import SCHEMA, Environment, Measurement, as_row, canonical_json
from bench.records.metrics import METRICS
from bench.report import build
from bench.report.page import Page
from bench.statistics.intervals import Interval
from bench.suite.read import LoadedSuite
from bench.suite.schema import Suite
from bench.verdicts import CheckVerdict, Sample, Verdict, Word

ROOT = Path(__file__).parent.parent
NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
RUN = "run-1"
HOSTILE = "<script>alert(1)</script>"
COMMAND = "bench run suites/cifar_mixers.toml --profile paper"
CONDITIONS = {
    "device": "NVIDIA H200",
    "precision": "float32",
    "threads": "16",
    "data": "CIFAR-10, 50,000 + 10,000 images",
    "profile": "paper",
    "protocol": "1",
}


def suite(name: str = "cifar_mixers") -> LoadedSuite:
    """A suite that comes with the project."""
    path = ROOT / "suites" / f"{name}.toml"
    return LoadedSuite(Suite.model_validate(tomllib.loads(path.read_text())), "5a" * 32, path)


# claim -> for each of its checks: the word, the raw values of its seeds (or why there are none)
_SEEDS: dict[str, list[tuple[Word, list[float] | str]]] = {
    "H1": [("reproduced", [76.42, 76.95, 76.61])],
    "H2": [("reproduced", [82.01, 82.44, 82.19])],
    "H3": [("reproduced", [5.59, 5.49, 5.58]), ("inconclusive", [4.4, 7.1, 5.6])],
    "H4": [("not measured", "no row: CIFAR-100 is not on this machine.")],
    "H5": [("not measured", "no row: CIFAR-100 is not on this machine.")],
    "H6": [("inconsistent", "55.03 − 48.20 = 6.83, but the text of the summary says 6.38 points.")],
    "H7": [("reproduced", [147_456])],
    "H8": [("reproduced", [17_536])],
    "H9": [("reproduced", [88.107])],
    "H10": [("contradicted", [0.481, 0.487, 0.479]), ("reproduced", [0.693, 0.701, 0.696])],
    "H11": [("reproduced", [-0.031, -0.044, -0.036]), ("contradicted", [0.021, 0.034, 0.027])],
    "H12": [("reproduced", [-0.21, -0.18, -0.24])],
    "H13": [("inconclusive", [0.021, 0.064, 0.041])],
    "H14": [
        ("contradicted", [3.02, 3.35, 3.11]),
        ("contradicted", [2.57, 2.14, 2.47]),
        ("reproduced", [17_536]),
        ("answered", [17_792]),
    ],
    "H15": [("reproduced", [8_192]), ("reproduced", [0])],
    "H16": [("answered", [1.118, 1.121, 1.113]), ("answered", [1.062, 1.06, 1.065]), ("answered", [1.31, 1.29, 1.3])],
    "H17": [("answered", [4.62, 4.41, 4.55]), ("not measured", "only one of the two was trained.")],
}


def verdicts() -> list[Verdict]:
    """A verdict for each claim of the suite."""
    loaded = suite()
    return [_verdict(loaded, key) for key in loaded.suite.claims]


def _verdict(loaded: LoadedSuite, key: str) -> Verdict:
    claim = loaded.suite.claims[key]
    checks = tuple(_check(check, *made) for check, made in zip(claim.checks, _SEEDS[key], strict=True))
    strongest = ("contradicted", "inconsistent", "inconclusive", "not measured", "reproduced", "answered")
    word = next(word for word in strongest if any(check.verdict == word for check in checks))
    return Verdict(
        loaded.suite.id,
        key,
        claim.says,
        claim.source,
        claim.where,
        claim.quote,
        word,
        checks,
        tuple(claim.compare),
        claim.note,
    )


def _check(check, word: Word, seeds: list[float] | str) -> CheckVerdict:
    low, high = check.above, check.below
    if check.tolerance is not None:
        low, high = check.published - check.tolerance, check.published + check.tolerance
    if check.between is not None:
        low, high = check.between
    made = CheckVerdict(
        check.says,
        check.kind,
        word,
        seeds if isinstance(seeds, str) else f"The measured interval and the band are compared: {word}.",
        unit=check.unit,
        published=check.published,
        low=low,
        high=high,
        tolerance_why=check.tolerance_why,
        conditions=CONDITIONS,
        command=f"{COMMAND} --only 'accuracy*'",
        calculation=(f"{check.follows} = {check.published}",) if check.follows else (),
    )
    if isinstance(seeds, str):
        return made
    centre, half = sum(seeds) / len(seeds), (max(seeds) - min(seeds)) * 0.9
    samples = tuple(Sample(value, seed=i, run_id=RUN) for i, value in enumerate(seeds))
    interval = Interval(centre - half, centre + half, centre, "95 % Student's t of the mean", len(seeds))
    return replace(made, measured=interval, samples=samples, resolution=0.75 if check.unit == "%" else None)


def environment(**changes: object) -> Environment:
    """The conditions of one run on a made machine."""
    known = {
        "run_id": RUN,
        "started_at": "2026-11-20T09:30:00+00:00",
        "command": COMMAND,
        "bench": "0.1.0",
        "commit": "4f2a9c1d0b7e",
        "dirty": False,
        "diff_sha256": None,
        "lock_sha256": "9b1c" * 16,
        "python": "3.11.9",
        "torch": "2.13.0",
        "torchvision": "0.28.0",
        "cuda": "13.0",
        "cudnn": "9.10",
        "driver": "580.65",
        "os": "Linux 6.8",
        "cpu": "Intel Xeon Platinum 8481C",
        "cores": 16,
        "ram_bytes": 128 * 1024**3,
        "device": "cuda",
        "device_name": "NVIDIA H200",
        "threads": 16,
        "interop_threads": 1,
        "allocator": "native",
        "deterministic": True,
        "packages_json": json.dumps({"numpy": "2.4.1", "fvcore": "0.1.5.post20221221"}),
    }
    return Environment(**(dict.fromkeys(Environment.__dataclass_fields__) | known | changes))


def environments(*extra: Environment) -> pd.DataFrame:
    """The environments of the rows, as the store gives them."""
    return pd.DataFrame([as_row(found) for found in (environment(), *extra)])


_FINAL = {"mlp_mixer": 76.7, "hybrid_stem": 79.8, "hybrid_interleaved": 82.2, "hybrid_every3": 81.2}
_PARAMS = {
    "mlp_mixer": 677_898,
    "hybrid_stem": 695_690,
    "hybrid_interleaved": 766_858,
    "hybrid_every3": 731_274,
    "hybrid_standard_conv": 825_610,
}
_LATENCY = {
    "mlp_mixer": 1.0,
    "hybrid_stem": 1.06,
    "hybrid_interleaved": 1.3,
    "hybrid_every3": 1.18,
    "hybrid_standard_conv": 1.1,
}


def rows(profile: str = "paper", device: str = "cuda", name: str = "cifar_mixers") -> pd.DataFrame:
    """Rows as the store gives them for every case that the profile plans, CIFAR-100 left out."""
    loaded, draw = suite(name), random.Random(0)
    cases = [case for case in plan(loaded.suite, loaded.sha256, profile, device) if case.dataset_key != "cifar100"]
    return frame([row for case in cases for row in _rows_of(case, draw)])


def frame(measurements: list[Measurement]) -> pd.DataFrame:
    """The measurements as one data frame, with the types of the store."""
    found = pd.DataFrame([as_row(each) for each in measurements])
    typed = found.convert_dtypes(dtype_backend="numpy_nullable")
    return typed.assign(started_at=pd.to_datetime(found["started_at"], utc=True))


def row(case: Case, metric: str, value: float | None, **changes: object) -> Measurement:
    """One row of a case."""
    return Measurement(
        schema=SCHEMA,
        run_id=RUN,
        case_id=case.id,
        suite=case.suite,
        suite_sha256=case.suite_sha256,
        profile=case.profile,
        started_at="2026-11-20T09:30:00+00:00",
        duration_s=12.5,
        model=case.model,
        params_json=canonical_json(case.question),
        dataset=case.dataset,
        dataset_sha256="ab" * 32 if case.dataset else None,
        n_train=50_000 if case.dataset else None,
        n_test=10_000 if case.dataset else None,
        seed=case.seed,
        epoch=changes.get("epoch"),
        batch_size=case.batch_size,
        image_size=case.image_size,
        device=case.device,
        device_name="NVIDIA H200",
        precision=case.precision,
        layout=case.layout,
        compiled=case.compiled,
        threads=16,
        metric=metric,
        part=changes.get("part"),
        protocol=METRICS[metric].protocol,
        repeat=changes.get("repeat"),
        value=value,
        unit=METRICS[metric].unit,
        status=changes.get("status", "ok"),
        reason=changes.get("reason"),
        deviations=case.deviations,
        detail=changes.get("detail"),
    )


def _latency(case: Case) -> float:
    """Relative to the baseline; quadratic in the patches for a transformer, linear for the rest."""
    size = case.image_size / 32
    return _LATENCY.get(case.model, 1.2) * (size**4 if case.model.startswith("vit") else size**2)


def _rows_of(case: Case, draw: random.Random) -> list[Measurement]:
    match case.measure:
        case "static":
            macs = 42_300_000 * (1 + _latency(case) / 10)
            return [row(case, "params", _PARAMS.get(case.model, 594_186)), row(case, "macs", round(macs))]
        case "timing":
            seconds = 0.0021 * _latency(case) * (1 if case.batch_size == 1 else 2.4)
            blocks = [seconds * (1 + draw.gauss(0, 0.01)) for _ in range(20)]
            found = [row(case, "latency_s", block, repeat=i) for i, block in enumerate(blocks)]
            return found + [row(case, "fps", case.batch_size / block, repeat=i) for i, block in enumerate(blocks)]
        case "side_by_side":
            ratios = [_latency(case) * (1 + draw.gauss(0, 0.006)) for _ in range(20)]
            return [row(case, "time_ratio", ratio, repeat=i) for i, ratio in enumerate(ratios)]
        case "memory":
            return [row(case, "forward_peak_bytes", 2.1e8 * _latency(case)), row(case, "train_step_peak_bytes", 9.4e8)]
        case "accuracy":
            return [found for epoch in range(1, case.recipe.epochs + 1) for found in _epoch(case, epoch, draw)]
    return []


def _epoch(case: Case, epoch: int, draw: random.Random) -> list[Measurement]:
    top = _FINAL.get(case.model, 88 + 0.01 * sum(map(ord, case.model)) % 5)
    accuracy = top - (top - 38) * math.exp(-epoch / 6) + draw.gauss(0, 0.4)
    loss = 2.2 * math.exp(-epoch / 8) + (100 - top) / 32 + draw.gauss(0, 0.01)
    values = {
        "train_loss": loss + 0.08,
        "train_top1_pct": accuracy - 3,
        "test_loss": loss,
        "test_top1_pct": accuracy,
        "epoch_s": 2.2 * _latency(case),
        "train_fps": 50_000 / 2.2,
    }
    return [row(case, metric, value, epoch=epoch) for metric, value in values.items()]


def page(**changes: object) -> Page:
    """The page of all this, or with something else in the place of a part of it."""
    given = {
        "suites": [suite()],
        "verdicts": verdicts(),
        "rows": rows(),
        "environments": environments(),
    } | changes
    return build(*given.values(), now=NOW)


def hostile() -> dict[str, object]:
    """A suite, verdicts, rows and environments in which every name is markup, for `page`."""
    loaded = suite()
    raw = loaded.suite.model_dump(by_alias=True, exclude_unset=True)
    raw["question"] = raw["summary"] = HOSTILE
    for table in (raw["models"], raw["costs"]):
        for entry in table.values():
            entry["label"] = HOSTILE
    for source in raw["sources"].values():
        source |= {"title": HOSTILE, "authors": HOSTILE, "url": "javascript:alert(1)", "note": HOSTILE}
    changed = environment(command=HOSTILE, cpu=HOSTILE, os=HOSTILE)
    return {
        "suites": [LoadedSuite(Suite.model_validate(raw), loaded.sha256, loaded.path)],
        "verdicts": [_hostile(verdict) for verdict in verdicts()],
        "rows": rows().assign(device_name=HOSTILE),
        "environments": pd.DataFrame([as_row(changed)]),
    }


def _hostile(verdict: Verdict) -> Verdict:
    texts = dict.fromkeys(("says", "reason", "command", "tolerance_why", "deviations"), HOSTILE)
    checks = tuple(
        replace(check, **texts, conditions={HOSTILE: HOSTILE}, calculation=(HOSTILE,)) for check in verdict.checks
    )
    return replace(verdict, says=HOSTILE, where=HOSTILE, quote=HOSTILE, note=HOSTILE, checks=checks)
