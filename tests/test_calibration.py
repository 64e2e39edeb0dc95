"""The judge keeps its word on made papers: true claims are rarely contradicted, false ones found, at every look.

A small number of papers in the suite of tests; `BENCH_PAPERS=10000 pytest tests/test_calibration.py -s` judges as many
and prints the tables of docs/statistics.md.
"""

import math
import os

import numpy as np
import pytest

from tests.made_papers import Judged, Kind, judged, papers_with, share

PAPERS = int(os.environ.get("BENCH_PAPERS", "60"))
OFF = (0.0, 0.5, 1.0, 1.5, 2.0)  # tolerances
# docs/statistics.md: the design's shares of reproduced and contradicted by how far off the truth is, in percent.
# (models, seeds, sd) -> by OFF; spread pooled from four models of two seeds, or of three.
DESIGN = {
    (5, 2, 0.2): [(100, 0), (81, 0), (3, 2), (0, 81), (0, 100)],
    (5, 2, 0.4): [(63, 0), (30, 0), (3, 3), (0, 30), (0, 80)],
    (4, 3, 0.2): [(100, 0), (96, 0), (3, 3), (0, 97), (0, 100)],
    (4, 3, 0.4): [(93, 0), (48, 0), (2, 3), (0, 48), (0, 97)],
}


def anywhere(draw: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """The truth anywhere in the band."""
    return draw.uniform(-1, 1, shape)


def by_paper(draw: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """The first fifth of the papers as published, the next half a tolerance off, and so on."""
    return np.repeat(np.resize(np.repeat(OFF, max(shape[0] // len(OFF), 1)), shape[0])[:, None], shape[1], axis=1)


def at_most(rate: float, of: int) -> float:
    """The largest share that a true rate leaves to chance: three standard errors above it."""
    return rate + 3 * math.sqrt(rate * (1 - rate) / of)


@pytest.fixture(scope="module")
def papers() -> list[Judged]:
    # Standard deviations that differ by a fifth from model to model, and something that a seed does to all of them.
    return judged(Kind(anywhere, unequal=0.2, shared=0.15), PAPERS, seed=1, batch=min(PAPERS, 100))


def test_true_claims_are_contradicted_in_at_most_5_percent_of_papers_taken_one_by_one_or_all_together(papers):
    true = [claim for claim in papers if claim.true]
    one_by_one, together = share(true, "contradicted"), papers_with(papers, "contradicted")
    print(f"\n{PAPERS} papers of 7 claims: {100 * one_by_one:.2f} % of the true claims contradicted, ")
    print(f"any true claim contradicted in {100 * together:.2f} % of the papers")
    assert one_by_one <= at_most(0.01, len(true))
    assert together <= at_most(0.05, PAPERS)


def test_looking_after_every_seed_keeps_the_stated_error(papers):
    true = [claim for claim in papers if claim.true]
    stopped = sum(claim.stopped == "contradicted" for claim in true) / len(true)
    print(f"\nlooks after every seed: {100 * stopped:.2f} % of the true claims contradicted")
    assert stopped <= at_most(0.05, len(true))


@pytest.mark.parametrize(("models", "seeds", "sd"), DESIGN)
def test_the_judge_decides_as_much_as_the_design_and_errs_no_more(models, seeds, sd):
    number = min(PAPERS, 1_000) if PAPERS > 1000 or (seeds, sd) == (3, 0.4) else 20
    kind = Kind(by_paper, models=models, seeds=seeds, sd=sd, differences=False)
    claims = judged(kind, number, seed=2, batch=min(number, 100))
    for off, (reproduced, contradicted) in zip(OFF, DESIGN[models, seeds, sd], strict=True):
        some = [claim for claim in claims if claim.off == pytest.approx(off)]
        found = [100 * share(some, word) for word in ("reproduced", "contradicted")]
        words = [claim.stopped for claim in some]
        early = [100 * words.count(word) / len(some) for word in ("reproduced", "contradicted")]
        print(f"\n{seeds} seeds, sd {sd}, off {off}: {found}; stopped at the first look that decides: {early}")
        chance = 300 * math.sqrt(0.25 / len(some))
        assert found == pytest.approx([reproduced, contradicted], abs=5 + chance)
        if off <= 1:
            assert max(found[1], early[1]) <= 100 * at_most(0.05, len(some))
        if off >= 2 and seeds == 3:
            assert found[1] >= 90 - chance  # off by twice the tolerance is found
