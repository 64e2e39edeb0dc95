"""What the README shows is true: its commands are there, and its example of a new paper runs as it stands."""

import json
import re
import shlex
import shutil
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml

from bench.gate import selftest
from bench.statistics.intervals import median
from tests.making import bench, pytest_in

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)


def block(language: str, containing: str) -> str:
    (found,) = [text for text in blocks(language) if containing in text]
    return found


def test_the_example_of_a_new_paper_is_measured_and_judged(tmp_path):
    (tmp_path / "tiny_net.py").write_text(block("python", "tiny_net"), encoding="utf-8")
    (tmp_path / "tiny_net.toml").write_text(block("toml", "tiny_net"), encoding="utf-8")
    done = bench("run", "tiny_net.toml", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    report = bench("report", "tiny_net.toml", "--format", "json", "-o", "-", cwd=tmp_path)
    verdicts = {claim["claim"]: claim["verdict"] for claim in json.loads(report.stdout)["claims"]}
    # Convolutions 3·3·3·16 + 16 and 3·3·16·16 + 16, head 16·10 + 10.
    assert (3 * 3 * 3 * 16 + 16) + (3 * 3 * 16 * 16 + 16) + (16 * 10 + 10) == 2938
    assert verdicts == {"T1": "reproduced", "T2": "reproduced"}


def test_the_test_that_it_shows_passes(tmp_path):
    (tmp_path / "test_mixer.py").write_text(block("python", "bench_check"), encoding="utf-8")
    shutil.copytree(ROOT / "suites", tmp_path / "suites")
    done = pytest_in(tmp_path, "test_mixer.py")
    assert "1 passed" in done.stdout, done.stdout


def test_every_command_of_the_workflow_and_the_hook_is_one():
    steps = [step for job in yaml.safe_load(blocks("yaml")[0])["jobs"].values() for step in job["steps"]]
    lines = [step["run"] for step in steps if "run" in step]
    lines += [hook["entry"] for repo in yaml.safe_load(blocks("yaml")[1])["repos"] for hook in repo["hooks"]]
    asked = [shlex.split(line) for line in lines if line.startswith("bench ")]
    assert len(asked) == 2
    for _, *arguments in asked:
        done = bench(*arguments, "--only", "nothing", code=None)
        assert done.returncode == 5, done.stderr  # understood, and nothing selected


def test_the_table_of_suites_counts_their_claims():
    rows = json.loads(bench("list", "suites", "--json", cwd=ROOT).stdout)
    told = {name: int(count) for name, count in re.findall(r"\[`(\w+)`\]\(suites/\w+\.toml\).*\| (\d+) \|", README)}
    assert told == {row["suite"]: row["claims"] for row in rows if row["claims"]}


def test_every_link_into_the_project_leads_somewhere():
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target


def test_the_two_commands_are_there_and_nothing_else_pretends_to_be_them():
    assert README.count("pip install -c constraints.txt . && bench run suites/cifar_mixers.toml") == 1
    assert README.count("pip install tox && tox") == 1


@pytest.mark.parametrize("form", ["html", "md"])
def test_the_committed_report_is_the_one_that_the_committed_rows_give(tmp_path, form):
    again = tmp_path / f"cifar_mixers.{form}"
    done = bench(
        "report",
        "suites/cifar_mixers.toml",
        "--store",
        "results/reference",
        "--format",
        form,
        "-o",
        str(again),
        cwd=ROOT,
        BENCH_CACHE=str(tmp_path / "cache"),  # a model that was traced here would add predicted costs
    )
    assert done.returncode == 0, done.stderr
    committed = ROOT / "reports/reference" / again.name
    assert words(again) == words(committed)
    figures = sorted(tmp_path.glob("*_figures/*"))
    assert bool(figures) == (form == "md")
    assert {figure.name for figure in figures} == {f.name for f in committed.parent.glob("*_figures/*") if figures}
    for figure in figures:  # what a figure says, not the bytes that one version of a library draws it with
        assert texts(figure) == texts(committed.parent / figure.parent.name / figure.name), figure.name


def texts(figure: Path) -> tuple[str, list[str]]:
    """What a figure tells to who cannot see it, and the words and numbers in it."""
    root = ElementTree.parse(figure).getroot()
    return root.attrib["aria-label"], sorted("".join(e.itertext()) for e in root.iter() if e.tag.endswith("}text"))


def words(page: Path) -> str:
    """A page without the moment at which it was drawn, and without how its figures are drawn."""
    drawing = r'<svg [^>]*?class="drawing"[^>]*>.*?</svg>|<svg [^>]*?role="img".*?</svg>'
    return re.sub(drawing, "a figure", undated(page), flags=re.DOTALL)


def undated(page: Path) -> str:
    """A page without the moment at which it was drawn."""
    text, found = re.subn(r"on \d+ \w+ \d{4}, \d\d:\d\d UTC", "on a day", page.read_text(encoding="utf-8"))
    assert found == 1
    return text


@pytest.mark.parametrize("record", ["quiet", "one_core_loaded"])
def test_what_the_gate_is_said_to_see_is_what_its_record_holds(record):
    checks = selftest.read(ROOT / "results" / "reference" / "gate" / f"{record}.jsonl")
    (row,) = [line for line in README.splitlines() if f"gate/{record}.jsonl" in line]
    equal, slowed = ([check for check in checks if check.effect_pct == effect] for effect in (0.0, 5.0))
    alarms, caught = (sum(check.word == "regression" for check in some) for some in (equal, slowed))
    seconds = sorted(check.seconds for check in equal)
    figures = f"{alarms} of {len(equal)} · {caught} of {len(slowed)} · {median(seconds):.0f} and {seconds[-1]:.0f} s"
    assert f"| {figures} |" in row
    assert not [check for check in checks if check.failure is not None]
