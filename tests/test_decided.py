"""How many claims the committed rows decide, by the rule that is and by the one before it.

`pytest tests/test_decided.py -s` prints the table of docs/statistics.md, with the claims whose word differs.
"""

import math
from pathlib import Path

import pytest

from bench.commands import loading
from bench.commands.run import rows_of
from bench.statistics.intervals import Interval, mean, sample_sd, t_quantile
from bench.verdicts import judge
from bench.verdicts.uncertainty import POOLED, SeedRule, half_of_test_images, interval_of

ROOT = Path(__file__).parent.parent
STORE = str(ROOT / "results" / "reference")
SUITES = ("cifar_mixers", "mlp_mixer", "convmixer", "mobilevit_xxs")
OPEN = ("inconclusive", "not measured")


def alone(text, constants, evidence, pool, new_images) -> Interval:
    """The interval before: the spread of these seeds alone, at 95 % at every look, and three of them at least."""
    values = [sample.value for sample in evidence.samples]
    if evidence.by != "seed" or len(values) < 2:
        return interval_of(text, constants, evidence)
    n, point = len(values), mean(values)
    half = t_quantile(0.975, n - 1) * sample_sd(values) / math.sqrt(n)
    least = half_of_test_images(text, constants, evidence, values[0])
    half = max(half, (least or 0.0) / math.sqrt(n)) or math.inf
    return Interval(point - half, point + half, point, "95 % Student's t of the mean", n)


RULES = {"before": SeedRule(alone, seeds=3), "now": POOLED}


@pytest.fixture(scope="module")
def words() -> dict[str, dict[str, dict[str, str]]]:
    """Suite -> rule -> claim -> word."""
    loaded = loading.load([ROOT / "suites" / f"{name}.toml" for name in SUITES])
    today, rows = loading.today(loaded, STORE), rows_of(STORE)[0]
    found: dict[str, dict[str, dict[str, str]]] = {}
    for each in loaded:
        for name, rule in RULES.items():
            verdicts = judge(each.suite, each.sha256, rows, suite_path="s.toml", today=today[each.suite.id], rule=rule)
            found.setdefault(each.suite.id, {})[name] = {verdict.claim: verdict.verdict for verdict in verdicts}
    return found


def decided(words: dict[str, str]) -> int:
    return sum(word not in OPEN for word in words.values())


def test_the_page_has_the_table_that_the_committed_rows_give(words):
    lines = [
        f"| `{name}` | {len(rules['now'])} | {decided(rules['before'])} | {decided(rules['now'])} |"
        for name, rules in words.items()
    ]
    both = [sum(decided(rules[rule]) for rules in words.values()) for rule in RULES]
    lines.append(f"| all | {sum(len(rules['now']) for rules in words.values())} | {both[0]} | {both[1]} |")
    print("", *lines, sep="\n")
    for name, rules in words.items():
        for claim, now in rules["now"].items():
            if now != rules["before"][claim]:
                print(f"{name} {claim}: {rules['before'][claim]} before, {now} now")
    page = (ROOT / "docs" / "statistics.md").read_text(encoding="utf-8")
    for line in lines:
        assert line in page


def test_the_new_rule_takes_no_decision_back(words):
    for rules in words.values():
        for claim, before in rules["before"].items():
            assert before in OPEN or rules["now"][claim] == before, claim
