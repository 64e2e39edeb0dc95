"""`python -m bench.prediction trace|fit TABLES ACCOUNTS`: makes the numbers, the table and the figure of predictions.

Used by whoever changes the prediction; `bench predict` only reads what this wrote.
"""

import argparse
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path

from bench.cost.efficiencies import FILE, Efficiencies, Errors
from bench.cost.work import Account
from bench.prediction import accounts, published, validation
from bench.prediction.drawn import figure
from bench.prediction.tables import tables

DOCS = Path(__file__).parents[2] / "docs"
BEGIN, END = "<!-- made by python -m bench.prediction fit -->", "<!-- end -->"


def main() -> None:
    """Trace accounts of the models in the tables, or fit and test on them."""
    parser = argparse.ArgumentParser(prog="python -m bench.prediction", description=main.__doc__)
    parser.add_argument("what", choices=["trace", "fit"])
    parser.add_argument("tables", type=Path, help="folder with the public tables")
    parser.add_argument("accounts", type=Path, help="file with the accounts of their models")
    parser.add_argument("--most", type=int, help="trace so many")
    asked = parser.parse_args()
    points = published.points(asked.tables)
    if asked.what == "trace":
        accounts.add(asked.accounts, points, asked.most)
    else:
        write(points, accounts.read(asked.accounts))


def write(points: list[published.Point], known: Mapping[str, Account]) -> None:
    """Fit, test, and write the numbers, the page's tables and the figure."""
    found, results = validation.tested(points, known)
    FILE.write_text(as_toml(found, validation.intervals(results)), encoding="utf-8")
    page, made = DOCS / "prediction.md", tables(results, points, known, found["gpu"])
    print(made)
    if page.exists():
        text = page.read_text(encoding="utf-8")
        before, after = text.partition(BEGIN)[0], text.partition(END)[2]
        page.write_text(f"{before}{BEGIN}\n\n{made}\n\n{END}{after}", encoding="utf-8")
    (DOCS / "prediction.svg").write_text(figure(results), encoding="utf-8")


def as_toml(found: Mapping[str, Efficiencies], errors: Iterable[Errors]) -> str:
    """The file of efficiencies."""
    lines = ["# Made by `python -m bench.prediction fit`: written by no hand."]
    for sort, known in found.items():
        lines += ["", f"[efficiencies.{sort}]"]
        for name, value in asdict(known).items():
            if isinstance(value, Mapping):
                inner = ", ".join(f"{kind} = {share:.3g}" for kind, share in value.items())
                lines.append(f"{name} = {{ {inner} }}")
            else:
                lines.append(f"{name} = {value:.3g}")
    for each in errors:
        said = [f'{name} = "{value}"' for name, value in asdict(each).items() if isinstance(value, str)]
        said += [f"models = {each.models}", f"low = {each.low:.3f}", f"high = {each.high:.3f}"]
        lines += ["", "[[errors]]", *said]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
