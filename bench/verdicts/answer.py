"""The one sentence that answers a suite's question, from its verdicts, with its numbers and how sure they are.

Judges nothing: what a claim comes to is its verdict's business, and what that means the suite's own.
"""

from collections import Counter
from collections.abc import Sequence

from bench.suite import answer
from bench.suite.schema import Suite
from bench.verdicts.bands import measured, plural
from bench.verdicts.deciding import Word
from bench.verdicts.judge import CheckVerdict, Verdict

_WORDS: dict[Word, tuple[str, str]] = {
    "reproduced": ("holds", "hold"),
    "contradicted": ("is contradicted", "are contradicted"),
    "inconsistent": ("contradicts itself", "contradict themselves"),
    "answered": ("is answered", "are answered"),
    "inconclusive": ("is inconclusive", "are inconclusive"),
    "not measured": ("is not measured", "are not measured"),
}


def answer_to(suite: Suite, verdicts: Sequence[Verdict]) -> str:
    """The suite's answer as its verdicts came out; where it brings none, its main claims, or all, in numbers."""
    own = {verdict.claim: verdict for verdict in verdicts if verdict.suite == suite.id}
    every = ((f"{key}.{number}" for number, _ in enumerate(claim.checks)) for key, claim in suite.claims.items())
    words = dict.fromkeys([*suite.claims, *(name for names in every for name in names)], "not measured")
    words |= {claim: str(verdict.verdict) for claim, verdict in own.items()}
    for claim, verdict in own.items():
        words |= {f"{claim}.{number}": str(check.verdict) for number, check in enumerate(verdict.checks)}
    for outcome in suite.answer:
        if answer.holds(outcome.when, words):
            return answer.PLACEHOLDER.sub(lambda found: _filled(found[1].strip(), own), " ".join(outcome.says.split()))
    main = [own[key] for key, claim in suite.claims.items() if claim.main and key in own]
    if not main:
        return f"Of {plural(len(own), 'claim')} {tally_of(list(own.values()))}."
    told = "; ".join(f"{verdict.claim} {_said(verdict)}" for verdict in main)
    return f"Of {plural(len(main), 'main claim')} {tally_of(main)}: {told}."


def main_claims(suite: Suite) -> set[str]:
    """The claims that the suite's question is about: those that are marked, or that its answer speaks of."""
    found = {key for key, claim in suite.claims.items() if claim.main}
    for outcome in suite.answer:
        asked, told = answer.references(outcome)
        found |= {name.partition(".")[0] for name in (*asked, *told)}
    return found


def tally_of(verdicts: Sequence[Verdict]) -> str:
    """`3 hold, 1 is contradicted and 2 are not measured`; `all 5 hold`."""
    counts = Counter(verdict.verdict for verdict in verdicts)
    parts = [f"{counts[word]} {forms[counts[word] != 1]}" for word, forms in _WORDS.items() if counts[word]]
    if len(parts) == 1 and len(verdicts) > 1:
        return f"all {parts[0]}"
    return " and ".join(filter(None, [", ".join(parts[:-1]), *parts[-1:]])) or "none was judged"


def value_of(check: CheckVerdict) -> str:
    """What was measured, its interval and what that stands on; or that nothing was."""
    if check.measured is None:
        return "not measured"
    beside = [end for end in (check.low, check.high) if end is not None] if check.verdict == "contradicted" else []
    return measured(check.measured, check.unit, _stands_on(check), beside)


def _filled(name: str, own: dict[str, Verdict]) -> str:
    if name == answer.TALLY:
        return tally_of(list(own.values()))
    claim, _, number = name.partition(".")
    checks = own[claim].checks if claim in own else ()
    return value_of(checks[int(number or 0)]) if int(number or 0) < len(checks) else "not measured"


def _said(verdict: Verdict) -> str:
    check = verdict.checks[0]
    return f"{verdict.verdict}, {value_of(check)}" if check.measured else str(verdict.verdict)


def _stands_on(check: CheckVerdict) -> str:
    """The level of the interval, and its seeds or blocks."""
    found = check.measured
    assert found is not None
    seeds = len({sample.seed for sample in check.samples} - {None})
    if seeds:
        planned = check.looks[1]
        count = plural(seeds, "seed") if seeds >= planned else f"{seeds} of {plural(planned, 'seed')}"
    else:
        blocks = sum(sample.repeat is not None for sample in check.samples)
        count = plural(blocks, "block") if blocks else ""
    level = found.method.partition("%")[0]
    sure = f"at {level.strip()} %" if found.bounded and found.low < found.high and "%" in found.method else ""
    return ", ".join(filter(None, [count, sure]))
