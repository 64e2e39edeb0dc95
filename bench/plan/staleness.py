"""Whether a row was made by today's code, and if not, what has changed since, in words.

Reads no row itself: it is told a fingerprint, and asked about it.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from bench.plan.case import Case
from bench.plan.fingerprint import Code, Fingerprint
from bench.records.measurement import CodePart
from bench.source.changes import phrase

_DATA = ("file", "read")
Stored = Mapping[str, Sequence[CodePart]]  # fingerprint -> what it was made of


class Today:
    """Today's code of a suite beside what is known of the code that made stored rows."""

    def __init__(self, code: Code, stored: Stored):
        self._code = code
        self._stored = stored

    def of(self, case: Case) -> Fingerprint | None:
        """Today's fingerprint of a case."""
        return self._code.of(case)

    def files(self, cases: Iterable[Case]) -> list[Path]:
        """Every file of the suite's own that its cases need: plug-ins, what they import, weights, scripts."""
        return list(
            dict.fromkeys([*self._code.files(), *(path for case in cases for path in self._code.named_files(case))])
        )

    def with_reads(self, case: Case, reads: Sequence[CodePart]) -> Fingerprint | None:
        """Today's fingerprint of a case that was seen to read these files as well."""
        return self._code.with_reads(case, reads)

    def answers(self, case: Case, code_sha256: str | None) -> bool:
        """Whether a row with this fingerprint is today's answer; always where today's cannot be told.

        A library that is not installed here cannot have changed here: then the rest must be equal.
        """
        now = self._code.of(case)
        if now is None or code_sha256 == now.sha256:
            return True
        if code_sha256 is None or code_sha256 not in self._stored:
            return False
        then = self._stored[code_sha256]
        now = self._code.again(case, then) or now
        if code_sha256 == now.sha256:
            return True
        here = {part.label for part in now.parts if part.kind in _DATA}
        gone = {part.label for part in then if part.kind in _DATA} - here  # not copied to this machine
        if not now.unknown and not gone:
            return False
        return _compared(then, now.unknown | gone) == _compared(now.parts, now.unknown | gone)

    def why(self, case: Case, code_sha256: str | None, run_id: str) -> str:
        """What has changed since a run: `tiny_net.py changed since run …: nn.Conv2d(3, …) -> nn.Conv2d(3, …)`."""
        if code_sha256 is None:
            return f"run {run_id} was made before rows knew their code"
        then = self._stored.get(code_sha256)
        now = self._code.again(case, then or ())
        if now is None or then is None:
            return f"the code of '{case.model}' changed since run {run_id}"
        return changed(then, now.parts, run_id)


def changed(then: Iterable[CodePart], now: Iterable[CodePart], run_id: str) -> str:
    """The first thing that differs between two lists of parts, and how many others do."""
    old, new = (_by_label(parts) for parts in (then, now))
    same = {part.sha256 for part in old.values()} & {part.sha256 for part in new.values()}
    told = []
    for key, part in new.items():
        before = old.get(key)
        through_imports = before is not None and part.kind == "module" and before.text == part.text
        if before is not None and before.sha256 != part.sha256 and not through_imports:
            told.append(_told(before, part, run_id))
        elif before is None and part.sha256 not in same:
            told.append(f"{part.label} is new since run {run_id}")
    told += [
        f"{part.label} is gone since run {run_id}"
        for key, part in old.items()
        if key not in new and part.sha256 not in same
    ]
    more = f"; and {len(told) - 1} more file{'s' if len(told) > 2 else ''}" if len(told) > 1 else ""
    return (told[0] if told else f"which file is used changed since run {run_id}") + more


def _told(before: CodePart, now: CodePart, run_id: str) -> str:
    if now.kind == "library":
        return f"{now.label} {now.text or 'is not installed'} here, {before.text or 'not installed'} in run {run_id}"
    words = f": {phrase(before.text, now.text)}" if now.text and before.text else ""
    return f"{now.label} changed since run {run_id}{words}"


def _by_label(parts: Iterable[CodePart]) -> dict[tuple[str, str], CodePart]:
    return {(part.kind, part.label): part for part in parts}


def _compared(parts: Iterable[CodePart], but: frozenset[str] | set[str]) -> Counter[tuple[str, str]]:
    known = {part for part in parts if part.kind == "module" or part.label not in but}
    return Counter((part.kind, part.sha256) for part in known)
