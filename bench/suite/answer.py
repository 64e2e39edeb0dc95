"""What a suite answers to its question: a sentence for each way in which its verdicts may come out.

Judges nothing and measures nothing: `when` is read and compared with words that are given.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bench.errors import UsageError, near
from bench.suite.fields import Text
from bench.suite.table import Table

OTHERWISE = "otherwise"
# What may stand behind `is`: the words of verdicts, and two that stand for several.
WORDS: dict[str, frozenset[str]] = {
    word: frozenset({word})
    for word in ("reproduced", "contradicted", "inconclusive", "inconsistent", "not measured", "answered")
} | {
    "open": frozenset({"inconclusive", "not measured"}),
    "decided": frozenset({"reproduced", "contradicted", "inconsistent", "answered"}),
}
PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
TALLY = "tally"
_TOKEN = re.compile(r"\s*([()]|[A-Za-z]\w*(?:\.\d+)?)")
_LONGEST = 1_000  # characters, so that no brackets exhaust the stack


class Reply(Table):
    """One way in which the verdicts may come out, and the answer then. The first that fits is told.

    `when` is `H14 is contradicted and (H3.0 is reproduced or not H2 is open)`: a claim, or one of its checks (`.0` is
    the main one), `is`, a word, and `and`, `or`, `not` and brackets; or `otherwise`. In `says`, `{H14}` stands for what
    was measured, with its interval and seeds, and `{tally}` for how many claims have which verdict.
    """

    when: Text
    says: Text


Words = Mapping[str, str]  # claim, or claim with the number of its check -> the word of its verdict


def holds(text: str, words: Words) -> bool:
    """Whether the verdicts came out so.

    Raises:
        UsageError: the text is no condition; says where.
    """
    if text.strip() == OTHERWISE:
        return True
    return _ConditionReader(_tokens(text), text).whole()(words)


def references(outcome: Reply) -> tuple[list[str], list[str]]:
    """The claims and checks that `when` and that `says` name.

    Raises:
        UsageError: `when` is no condition.
    """
    asked: list[str] = []

    class Seen(dict[str, str]):
        def __missing__(self, key: str) -> str:
            asked.append(key)
            return ""

    if outcome.when.strip() != OTHERWISE:
        _ConditionReader(_tokens(outcome.when), outcome.when).whole()(Seen())
    told = [name.strip() for name in PLACEHOLDER.findall(outcome.says)]
    return list(dict.fromkeys(asked)), [name for name in dict.fromkeys(told) if name != TALLY]


def _tokens(text: str) -> list[str]:
    if len(text) > _LONGEST:
        raise UsageError(f"'{text[:60]}…' is too long: at most {_LONGEST} characters")
    found, at, rest = [], 0, text.rstrip()
    while at < len(rest):
        token = _TOKEN.match(rest, at)
        if token is None:
            raise UsageError(f"'{text}': '{rest[at:].strip()[:20]}' means nothing here")
        found.append(token[1])
        at = token.end()
    return found


Condition = Callable[[Words], bool]


@dataclass
class _ConditionReader:
    """Reads a condition from left to right: `or` binds least, then `and`, then `not`. Both sides are always asked."""

    tokens: list[str]
    text: str
    at: int = 0

    def whole(self) -> Condition:
        found = self._or()
        if self.at < len(self.tokens):
            raise UsageError(f"'{self.text}': '{self.tokens[self.at]}' is not expected here")
        return found

    def _next(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def _took(self, token: str) -> bool:
        if self._next() != token:
            return False
        self.at += 1
        return True

    def _or(self) -> Condition:
        left = self._and()
        while self._took("or"):
            left = _either(left, self._and())
        return left

    def _and(self) -> Condition:
        left = self._not()
        while self._took("and"):
            left = _both(left, self._not())
        return left

    def _not(self) -> Condition:
        if self._took("not"):
            inner = self._not()
            return lambda words: not inner(words)
        if self._took("("):
            inner = self._or()
            if not self._took(")"):
                raise UsageError(f"'{self.text}': a bracket is not closed")
            return inner
        return self._is()

    def _is(self) -> Condition:
        name = self._next()
        self.at += 1
        if not name or not self._took("is"):
            raise UsageError(f"'{self.text}': a claim, 'is' and a word are needed, such as 'H1 is reproduced'")
        word = self._next()
        self.at += 1
        if word == "not" and self._took("measured"):
            word = "not measured"
        if word not in WORDS:
            raise UsageError(f"'{self.text}': no verdict '{word}'.{near(word, list(WORDS))}")
        wanted = WORDS[word]
        return lambda words: words[name] in wanted


def _either(left: Condition, right: Condition) -> Condition:
    return lambda words: any([left(words), right(words)])


def _both(left: Condition, right: Condition) -> Condition:
    return lambda words: all([left(words), right(words)])
