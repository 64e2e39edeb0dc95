"""A TOML table with closed keys, and the words for what is wrong with one.

Knows no table in particular; reads no file.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from bench.errors import near


class Table(BaseModel):
    """A TOML table with closed keys: an unknown one is an error, never ignored; nor is a number that is not finite."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


Place = tuple[str | int, ...]  # keys and list indices, from the outermost table inwards
_BOUNDS = {
    "greater_than": ("above", "gt"),
    "greater_than_equal": ("from", "ge"),
    "less_than": ("below", "lt"),
    "less_than_equal": ("up to", "le"),
}


@dataclass(frozen=True)
class Problem:
    """What is wrong at one place: with the value of its last key, or, `of_table`, with the table that would hold it."""

    place: Place
    text: str
    of_table: bool

    @property
    def words(self) -> str:
        """The sentence behind the name of the table."""
        return self.text if self.of_table else f"{self.place[-1]}{self._joint}{self.text}"

    def below(self, where: str, depth: int = 0) -> str:
        """The sentence with the whole path below the table `where`, `depth` keys deep: `[r].augment[0].p: …`."""
        path = self.place[depth : len(self.place) - self.of_table]
        text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
        return f"{where}{text}{': ' if self.of_table else self._joint}{self.text}"

    @property
    def _joint(self) -> str:
        return " " if self.text.startswith("= ") else ": "


def problems_of(error: ValidationError, model: type[BaseModel]) -> Iterator[Problem]:
    """Everything that is wrong with a table of this kind, in the order of its keys."""
    for found in error.errors(include_url=False):
        # Among the keys stand pydantic's word for a key that is wrong itself, and our tags, `<list>`.
        *above, last = found["loc"] or ("",)
        place = tuple(part for part in above if not _is_added(part))
        # A key that is too many may itself look like one of these.
        if found["loc"] and (found["type"] == "extra_forbidden" or not _is_added(last)):
            place += (last,)
        for text in _said(found, place, model).splitlines():
            yield Problem(place, text, found["type"] in ("extra_forbidden", "missing") or not place)


def _is_added(part: str | int) -> bool:
    return str(part).startswith("<") or part == "[key]"


def keys_at(place: Sequence[str | int], model: type[BaseModel]) -> list[str]:
    """The keys that the table at this place may have."""
    return [field.alias or name for name, field in table_at(place, model).model_fields.items()]


def table_at(place: Sequence[str | int], model: type[BaseModel]) -> type[BaseModel]:
    """Which kind of table stands at a place below a table of kind `model`."""
    for part in place:
        field = next((field for name, field in model.model_fields.items() if (field.alias or name) == part), None)
        inner = list(_tables_in(field.annotation)) if field else []
        # A tag of several tables, such as `cosine`, names the one that stands under it.
        named = [each for each in [model, *_siblings(model)] if part in _tag(each)]
        model = named[0] if named and not inner else inner[0] if inner else model
    return model


def _siblings(model: type[BaseModel]) -> list[type[BaseModel]]:
    return [each for base in model.__bases__ if issubclass(base, Table) for each in base.__subclasses__()]


def _tag(model: type[BaseModel]) -> tuple[Any, ...]:
    field = model.model_fields.get("name")
    return get_args(field.annotation) if field else ()


def _tables_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _tables_in(inner)


def _said(problem: Mapping[str, Any], place: Place, model: type[BaseModel]) -> str:
    found, context = problem["input"], problem.get("ctx", {})
    match problem["type"]:
        case "extra_forbidden":
            return f"no key '{place[-1]}'.{near(str(place[-1]), keys_at(place[:-1], model))}"
        case "missing":
            return f"key '{place[-1]}' is missing" if isinstance(place[-1], str) else "one more number is needed"
        case "literal_error":
            return f"= {shown(found)} is not known.{near(str(found), _words(context['expected']))}"
        case "union_tag_invalid":
            return f"no '{context['tag']}'.{near(context['tag'], _words(context['expected_tags']))}"
        case "union_tag_not_found":
            return f"a table that says its name is needed: name = … (found {shown(found)})"
        case "model_type" | "model_attributes_type" | "dict_type" | "dataclass_type":
            return f"input should be a valid dictionary, which is a table in TOML (found {shown(found)})"
        case "finite_number":
            return f"{shown(found)} is not a finite number"
        case "tuple_type":
            return f"input should be a valid list (found {shown(found)})"
        case "value_error":
            return str(context["error"])
        case kind if kind in _BOUNDS:
            word, key = _BOUNDS[kind]
            return f"{shown(found)} is out of range: {word} {context[key]:g}"
    return f"{problem['msg'][0].lower()}{problem['msg'][1:]} (found {shown(found)})"


def _words(listed: str) -> list[str]:
    return [word.strip("' ") for word in listed.replace(" or ", ", ").split(",")]


def shown(value: Any) -> str:
    """A value as a message shows it: short."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 10**18:
        return "a number of more than 18 digits"
    text = repr(value) if isinstance(value, (str, int, float, bool)) else f"a {_KINDS.get(type(value), 'value')}"
    return text if len(text) <= 80 else f"{text[:76]} …{text[-1]}"


_KINDS: dict[type, str] = {dict: "table", list: "list", tuple: "list", type(None): "nothing"}
