"""`bench run --until decided`: seed by seed, for the claims that are still open, and no further.

Decides nothing: after every seed the verdicts do, by levels that allow for all looks (`bench.statistics.looks`).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from rich.text import Text

from bench.commands.terminal import say
from bench.commands.wish import RunWish
from bench.errors import UsageError
from bench.plan.case import Case
from bench.plan.forecast import total
from bench.plan.planner import plan, selected_by
from bench.records.written import duration
from bench.suite import expression
from bench.suite.claim import Check
from bench.suite.read import LoadedSuite
from bench.suite.schema import Quantity, Suite

if TYPE_CHECKING:
    from bench.verdicts import CheckVerdict, Verdict

Ended = TypeVar("Ended")  # how a batch of cases ended
OPEN = ("inconclusive", "not measured")


@dataclass(frozen=True)
class Ask:
    """A check that is open, and the cases of this run that could decide it, by seed."""

    claim: str
    check: Check
    found: "CheckVerdict"
    first: int  # with how many seeds it can be decided at the earliest
    cases: Mapping[int | None, Sequence[Case]]

    @property
    def have(self) -> int:
        """How many seeds there are already."""
        return len({sample.seed for sample in self.found.samples if sample.seed is not None})

    @property
    def planned(self) -> int:
        """How many seeds it would have with every case of this run."""
        return max(self.found.looks[1], self.have + len([seed for seed in self.cases if seed is not None]))

    def up_to(self, seeds: int) -> list[Case]:
        """The cases that bring it to so many seeds, and those without any."""
        ordered = sorted(seed for seed in self.cases if seed is not None)[: max(seeds - self.have, 0)]
        return [case for seed in (None, *ordered) for case in self.cases.get(seed, ())]


def refused(loaded: Sequence[LoadedSuite], wish: RunWish) -> None:
    """Rows of a reduced profile decide nothing, and what is measured again is not open: nobody can wait for that.

    Raises:
        UsageError: names the suite and its full profiles.
    """
    if wish.force:
        raise UsageError("--until decided measures what is open, --force what is finished: only one of them")
    for each in loaded:
        name = wish.profile or each.suite.default_profile
        if name in each.suite.profiles and each.suite.profiles[name].reduced:
            full = [key for key, one in each.suite.profiles.items() if not one.reduced]
            raise UsageError(
                f"--until decided: profile '{name}' of suite '{each.suite.id}' is reduced, so it decides no claim. "
                f"Name a full one with --profile: {', '.join(full) or 'there is none'}"
            )


def asks(
    loaded: Sequence[LoadedSuite], todo: Sequence[Case], verdicts: "Sequence[Verdict]", wish: RunWish
) -> list[Ask]:
    """The open checks that cases of this run can decide."""
    from bench.verdicts.ledger import is_learned
    from bench.verdicts.uncertainty import seeds_needed

    known = {(verdict.suite, verdict.claim): verdict for verdict in verdicts}
    by_id, found = {case.id: case for case in todo}, []
    device = next((case.device for case in todo), "cpu")
    for each in loaded:
        own = [case for case in plan(each.suite, each.sha256, wish.profile, device, wish.seeds) if case.id in by_id]
        for key, claim in each.suite.claims.items():
            for check, told in zip(claim.checks, known[each.suite.id, key].checks, strict=True):
                asked = _asked(each.suite, check)
                cases = [case for quantity in asked for case in selected_by(quantity, own)]
                if told.verdict in OPEN and cases:
                    first = seeds_needed(check, any(is_learned(quantity.metric) for quantity in asked))
                    found.append(Ask(key, check, told, first, _by_seed(cases, by_id)))
    return found


def measured(
    loaded: Sequence[LoadedSuite],
    todo: Sequence[Case],
    verdicts_now: "Callable[[], list[Verdict]]",
    stored: Callable[[Sequence[Case]], Ended],
    wish: RunWish,
) -> list[Ended]:
    """Measure seed by seed until every claim is decided or has all its seeds; how each batch of cases ended.

    Args:
        verdicts_now: the verdicts by the rows that are there.
        stored: measures cases and stores their rows.
    """
    ended, left = list[Ended](), list(todo)
    before = verdicts_now()
    while batch := next_batch(asks(loaded, left, before, wish)):
        ended.append(stored(batch))
        left = [case for case in left if case.id not in {each.id for each in batch}]
        after = verdicts_now()
        for line in _news(before, after):
            say.print(Text(line), soft_wrap=True)
        before = after
    if left:
        say.print(f"{len(left)} of {len(todo)} cases were not needed: what they could decide is decided")
    return ended


def next_batch(open_asks: Sequence[Ask]) -> list[Case]:
    """For every open check the cases of its next seed; at first as many as it needs to be decided at all."""
    cases = [case for ask in open_asks for case in ask.up_to(max(ask.first, ask.have + 1))]
    return list({case.id: case for case in cases}.values())


def forecast(open_asks: Sequence[Ask], cores: int) -> Iterator[str]:
    """For each open claim how many seeds it will probably need, and what that costs; then all of them together."""
    every: dict[str, Case] = {}
    for claim in dict.fromkeys(ask.claim for ask in open_asks):
        mine = [ask for ask in open_asks if ask.claim == claim]
        needed = [(ask, *_probably(ask)) for ask in mine]
        cases = {case.id: case for ask, seeds, _ in needed for case in ask.up_to(seeds)}
        every |= cases
        ask, seeds, words = max(needed, key=lambda each: each[1])
        told = f"{words} {seeds} of {ask.planned} seeds ({ask.have} there)" if ask.planned else "one measurement"
        yield f"{claim}: {told}: {_cost(list(cases.values()), cores)}"
    if every:
        yield f"until decided, all together: {_cost(list(every.values()), cores)}"


def _probably(ask: Ask) -> tuple[int, str]:
    """Seeds, and how sure that is, in words."""
    from bench.statistics.looks import seeds_until

    check = ask.found
    ends = [end for end in (check.low, check.high) if end is not None]
    if check.measured is None or check.spread is None or not ends:
        return min(ask.first, ask.planned), "at least"
    distance = min(abs(check.measured.point - end) for end in ends)
    found = seeds_until(distance, check.spread.sd, check.spread.df, ask.have, ask.planned, ask.first)
    return (ask.planned, "probably open with all") if found is None else (found, "probably")


def _cost(cases: Sequence[Case], cores: int) -> str:
    length, unknown = total(cases, cores)
    more = f" and {unknown} of unknown length" if unknown else ""
    return f"{len(cases)} case{'' if len(cases) == 1 else 's'}, about {duration(length)}{more}"


def _asked(suite: Suite, check: Check) -> list[Quantity]:
    """The quantities that are measured for a check."""
    if check.measured is None or check.unavailable:
        return []
    names = expression.names(check.measured)
    return [suite.quantities[name] for name in names if name in suite.quantities and suite.quantities[name].metric]


def _by_seed(cases: Sequence[Case], by_id: Mapping[str, Case]) -> dict[int | None, list[Case]]:
    found: dict[int | None, list[Case]] = {}
    for case in cases:
        found.setdefault(case.seed, []).append(by_id[case.id])
    return found


def _news(before: "Sequence[Verdict]", after: "Sequence[Verdict]") -> Iterator[str]:
    """The claims that were open and are not any more."""
    for was, now in zip(before, after, strict=True):
        if was.verdict in OPEN and now.verdict not in OPEN:
            seeds = max((check.looks for check in now.checks), key=lambda looks: looks[1])[1]
            have = max(len({sample.seed for sample in check.samples} - {None}) for check in now.checks)
            yield f"{now.claim} {now.verdict}" + (f" with {have} of {seeds} seeds" if seeds else "")
