"""A suite answers its question in one sentence, by how its verdicts come out; its conditions are read and checked."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from bench.errors import BenchError, UsageError
from bench.report import render_html, render_json, render_markdown, terminal_summary
from bench.statistics.intervals import Interval
from bench.suite.answer import Reply, holds, references
from bench.suite.read import load_all
from bench.verdicts import CheckVerdict, Sample, Verdict, findings
from bench.verdicts.answer import answer_to, main_claims
from tests import making
from tests.making import bench

ROOT = Path(__file__).parent.parent
SUITES = ("cifar_mixers", "mlp_mixer", "convmixer", "mobilevit_xxs")
WORDS = {"A": "reproduced", "B": "contradicted", "C": "not measured", "A.0": "reproduced", "A.1": "inconclusive"}


@pytest.mark.parametrize(
    ("text", "so"),
    [
        ("A is reproduced", True),
        ("not A is reproduced", False),
        ("B is reproduced or A is reproduced and C is open", True),  # `and` binds closer: B or (A and C)
        ("(A is reproduced or B is reproduced) and C is decided", False),
        ("C is not measured", True),
        ("not (B is contradicted and C is not measured)", False),
        ("A.1 is open and A.0 is decided", True),
        ("otherwise", True),
    ],
)
def test_a_condition_is_read_as_it_is_written(text, so):
    assert holds(text, WORDS) is so


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("A", "a claim, 'is' and a word are needed"),
        ("A is reproducd", "no verdict 'reproducd'. Did you mean 'reproduced'?"),
        ("(A is reproduced", "a bracket is not closed"),
        ("A is reproduced B is open", "'B' is not expected here"),
        ("A == reproduced", "'== reproduced' means nothing here"),
        ("(" * 5_000, "too long"),
    ],
)
def test_a_condition_that_cannot_be_read_says_where(text, words):
    with pytest.raises(UsageError, match=re.escape(words)):
        holds(text, WORDS)


def test_every_claim_of_a_condition_is_found_whichever_decides_it():
    outcome = Reply(when="A is open or not (B.1 is decided and C is open)", says="{A} of {tally}, {B.1}")
    assert references(outcome) == (["A", "B.1", "C"], ["A", "B.1"])


def made(claim: str, word: str, point=None, unit="points", seeds=2, planned=3) -> Verdict:
    measured = None if point is None else Interval(point - 1, point + 1, point, "95 % made", seeds)
    samples = tuple(Sample(point, seed=seed) for seed in range(seeds if measured else 0))
    check = CheckVerdict(f"{claim} says", "retrain", word, "Why.", unit=unit, measured=measured, samples=samples)
    return Verdict("made", claim, f"{claim} says", "paper", "T", None, word, (replace(check, looks=(2, planned)),))


def suite(*outcomes: dict[str, str], **claims: dict[str, object]):
    said = {key: making.claim(kind="open", unit="points", **more) for key, more in claims.items()}
    return making.suite(claims=said, answer=list(outcomes))


def test_the_first_outcome_that_fits_is_told_with_what_was_measured_and_how_sure_it_is():
    told = suite(
        {"when": "A is reproduced", "says": "Yes, {A}."},
        {"when": "A is contradicted", "says": "No: {A};\n {B}; {tally}."},
        A={},
        B={},
    )
    assert answer_to(told, [made("A", "contradicted", -1.17), made("B", "not measured")]) == (
        "No: −1.17 points (−2.17 to −0.17 points, 2 of 3 seeds, at 95 %); not measured; "
        "1 is contradicted and 1 is not measured."
    )
    assert answer_to(told, [made("A", "reproduced", 5.0, seeds=3), made("B", "reproduced")]) == (
        "Yes, +5.00 points (+4.00 to +6.00 points, 3 seeds, at 95 %)."
    )


def test_without_an_outcome_the_main_claims_answer_and_without_those_all_do():
    marked = suite(A={"main": True}, B={}, C={})
    verdicts = [made("A", "reproduced", 5.0, seeds=3), made("B", "contradicted", 1.0), made("C", "not measured")]
    assert answer_to(marked, verdicts) == (
        "Of 1 main claim 1 holds: A reproduced, +5.00 points (+4.00 to +6.00 points, 3 seeds, at 95 %)."
    )
    assert main_claims(marked) == {"A"}
    assert answer_to(suite(A={}, B={}, C={}), verdicts) == (
        "Of 3 claims 1 holds, 1 is contradicted and 1 is not measured."
    )


def test_what_the_question_is_about_is_told_before_what_lies_farther_out():
    def out(claim: str, point: float, word: str = "contradicted") -> Verdict:
        found = made(claim, word, point)
        return replace(found, checks=(replace(found.checks[0], low=-2.0, high=2.0, published=0.0),))

    told = findings([out("FAR", 90.0), out("MAIN", 9.0), out("ASK", 2.5, "inconclusive")], main={("made", "MAIN")})
    assert [verdict.claim for verdict, _ in told] == ["MAIN", "FAR", "ASK"]
    asked = findings([out("HOLDS", 0.0, "reproduced"), out("ASK", 2.5, "inconclusive")], main={("made", "ASK")})
    assert [verdict.claim for verdict, _ in asked] == ["ASK", "HOLDS"]


def test_an_answer_that_speaks_of_what_is_not_there_is_refused(tmp_path):
    text = making.suite_text(
        making.PAPER,
        '[[answer]]\nwhen = "T2 is reproduced"\nsays = "{T1.4}"\n[[answer]]\nwhen = "T1 is fine"\nsays = "x"',
        '[claims.T1]\nsays = "x"\nkind = "arithmetic"\nsource = "paper"\nwhere = "y"\nunit = "1"',
        'published = 2.0\nfollows = "1 + 1"',
    )
    (tmp_path / "made.toml").write_text(text, encoding="utf-8")
    with pytest.raises(BenchError) as problems:
        load_all([tmp_path / "made.toml"])
    for words in ("[answer.0]: when: no claim 'T2'", "[answer.0]: says: T1 has no check 4", "no verdict 'fine'"):
        assert words in str(problems.value)


def test_the_answer_stands_under_the_title_in_every_form(material):
    page = material.page()
    assert page.answer.startswith("No")
    assert f'</h1>\n<p class="answer">{page.answer.replace(">", "&gt;")}</p>' in render_html(page)
    assert f"**{page.answer[:20]}" in render_markdown(page, "f")[0]
    assert json.loads(render_json(page))["answers"] == {"cifar_mixers": page.answer}
    assert " ".join(terminal_summary(page).split()).find(" ".join(page.answer.split()[:6])) > 0


def test_the_readme_opens_with_the_answers_that_the_committed_rows_give():
    readme = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    files = [f"suites/{name}.toml" for name in SUITES]
    done = bench("report", *files, "--store", "results/reference", "--format", "json", "-o", "-", cwd=ROOT)
    for name, told in json.loads(done.stdout)["answers"].items():
        assert " ".join(told.split()) in readme, name
