"""Made papers, judged by the real judge: many small papers in one suite, with trainings whose truth is known.

Decides nothing itself: it draws rows, calls `judge` and writes down the words.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas

from bench.plan.case import Case
from bench.plan.planner import plan
from bench.records.measurement import Measurement, columns
from bench.records.metrics import METRICS
from bench.suite.schema import Suite
from bench.verdicts import judge
from tests import making

TOLERANCE = 1.0  # points
FIRST, OTHERS = 80.0, 85.0  # what is published of the first model of a paper, and of all others


@dataclass(frozen=True)
class Kind:
    """How papers are made.

    `off` draws by how many points the true value of each model lies off what is published, as papers × models.
    `unequal` is the standard deviation of the log of the models' own standard deviations, `shared` what a seed brings
    to all models alike.
    """

    off: Callable[[np.random.Generator, tuple[int, int]], np.ndarray]
    models: int = 4
    seeds: int = 3
    sd: float = 0.3
    unequal: float = 0.0
    shared: float = 0.0
    differences: bool = True


@dataclass(frozen=True)
class Judged:
    """A claim of a paper: how far the truth lies off, in tolerances, and its word with 2 seeds, with 3, and so on."""

    paper: int
    difference: bool
    off: float
    words: tuple[str, ...]

    @property
    def true(self) -> bool:
        """Whether the true value lies in the band."""
        return abs(self.off) <= 1 + 1e-9

    @property
    def stopped(self) -> str:
        """The word at which looks after every seed stop: the first that decides."""
        return next((word for word in self.words if word in ("reproduced", "contradicted")), self.words[-1])


def judged(kind: Kind, papers: int, seed: int, batch: int = 100) -> list[Judged]:
    """The claims of that many papers, judged by the real judge."""
    draw, made = np.random.default_rng(seed), suite(batch, kind)
    cases = [case for case in plan(made, "0", "paper") if case.seed is not None]
    found: list[Judged] = []
    for start in range(0, papers, batch):
        off = kind.off(draw, (batch, kind.models))
        frame = _frame(cases, _values(kind, off, draw))
        looks = [
            judge(made, "0", frame[frame["seed"] < seeds], suite_path="s.toml") for seeds in range(2, kind.seeds + 1)
        ]
        words = {each[0].claim: tuple(verdict.verdict for verdict in each) for each in zip(*looks, strict=True)}
        found += _claims(off, words, start)
    return found


def share(claims: list[Judged], word: str, look: int = -1) -> float:
    """Of the claims, those with the word at a look; the last one when none is named."""
    return sum(claim.words[look] == word for claim in claims) / len(claims)


def papers_with(claims: list[Judged], word: str) -> float:
    """Of the papers, those of which any true claim has the word at the last look."""
    papers = {claim.paper for claim in claims}
    return len({claim.paper for claim in claims if claim.true and claim.words[-1] == word}) / len(papers)


def suite(papers: int, kind: Kind) -> Suite:
    """One suite with a measure, a recipe and claims of its own for every paper."""
    keys = [(paper, model) for paper in range(papers) for model in range(kind.models)]
    recipe = {"label": "as run", "settings": {"epochs": 1, "batch_size": 8, "optimizer": "adamw", "lr": 1e-3}}
    accuracy = {"measure": "accuracy", "datasets": ["cifar"], "seeds": kind.seeds}
    return making.suite(
        models={
            f"p{paper}m{model}": {"factory": "mlp", "label": f"{model}", "args": {"width": number + 1}}
            for number, (paper, model) in enumerate(keys)
        },
        datasets={"cifar": {"name": "cifar10", "label": "CIFAR-10", "classes": 10}},
        recipes={f"r{paper}": recipe for paper in range(papers)},
        measures={f"a{p}": accuracy | {"models": [f"p{p}m*"], "recipes": [f"r{p}"]} for p in range(papers)},
        profiles={"paper": {"label": "paper", "reduced": False}},
        quantities={f"q{p}m{m}": {"metric": "test_top1_pct", "model": f"p{p}m{m}"} for p, m in keys},
        claims={key: making.claim(kind="retrain", **said) for key, said in _said(keys, kind.differences)},
    )


def _said(keys: list[tuple[int, int]], differences: bool) -> Iterator[tuple[str, dict[str, object]]]:
    for paper, model in keys:
        one = f"q{paper}m{model}"
        alone = {"unit": "%", "published": OTHERS if model else FIRST, "tolerance": TOLERANCE, "measured": one}
        yield f"C{paper}m{model}", alone
        if model and differences:
            gain = {"unit": "points", "published": OTHERS - FIRST, "tolerance": TOLERANCE * 2**0.5}
            yield f"D{paper}m{model}", gain | {"measured": f"{one} - q{paper}m0"}


def _values(kind: Kind, off: np.ndarray, draw: np.random.Generator) -> np.ndarray:
    """Accuracies by paper, model and seed, in percent."""
    published = np.where(np.arange(kind.models) == 0, FIRST, OTHERS)
    sd = kind.sd * np.exp(kind.unequal * draw.standard_normal(off.shape))
    noise = sd[..., None] * draw.standard_normal((*off.shape, kind.seeds))
    noise += kind.shared * draw.standard_normal((len(off), 1, kind.seeds))
    return (published + off)[..., None] + noise


def _frame(cases: list[Case], values: np.ndarray) -> pandas.DataFrame:
    metric = "test_top1_pct"
    same = {
        **{"run_id": "r", "suite": "made", "profile": "paper", "started_at": "2026-01-01T00:00:00", "epoch": 1},
        **{"device": "cpu", "device_name": "Xeon", "threads": 2, "precision": "float32", "status": "ok"},
        **{"metric": metric, "protocol": METRICS[metric].protocol, "torch": "2.13.0"},
        **{"dataset_sha256": "d1", "n_train": 50_000, "n_test": 10_000},
    }
    at = [(*map(int, case.model[1:].split("m")), case.seed) for case in cases]
    own = {
        "case_id": [case.id for case in cases],
        "model": [case.model for case in cases],
        "seed": [case.seed for case in cases],
        "value": [float(values[place]) for place in at],
    }
    return pandas.DataFrame({**dict.fromkeys(columns(Measurement)), **same, **own})


def _claims(off: np.ndarray, words: Mapping[str, tuple[str, ...]], start: int) -> Iterator[Judged]:
    for key, told in words.items():
        paper, model = (int(part) for part in key[1:].split("m"))
        if key[0] == "C":
            yield Judged(start + paper, False, off[paper, model] / TOLERANCE, told)
        else:
            away = (off[paper, model] - off[paper, 0]) / (TOLERANCE * 2**0.5)
            yield Judged(start + paper, True, away, told)
