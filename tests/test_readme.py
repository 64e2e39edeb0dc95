"""What the README shows is true: its commands are there, and its example of a new paper runs as it stands."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def block(language: str) -> str:
    return re.search(rf"^```{language}\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)[1]


def bench(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from runner import bench; bench()", *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_example_of_a_new_paper_is_measured_and_judged(tmp_path):
    (tmp_path / "tiny_net.py").write_text(block("python"), encoding="utf-8")
    (tmp_path / "tiny_net.toml").write_text(block("toml"), encoding="utf-8")
    done = bench("run", "tiny_net.toml", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    report = bench("report", "tiny_net.toml", "--format", "json", "-o", "-", cwd=tmp_path)
    verdicts = {claim["claim"]: claim["verdict"] for claim in json.loads(report.stdout)["claims"]}
    # Convolutions 3·3·3·16 + 16 and 3·3·16·16 + 16, head 16·10 + 10.
    assert (3 * 3 * 3 * 16 + 16) + (3 * 3 * 16 * 16 + 16) + (16 * 10 + 10) == 2938
    assert verdicts == {"T1": "reproduced", "T2": "reproduced"}


def test_the_table_of_suites_counts_their_claims():
    rows = json.loads(bench("list", "suites", "--json", cwd=ROOT).stdout)
    told = {name: int(count) for name, count in re.findall(r"\[`(\w+)`\]\(suites/\w+\.toml\).*\| (\d+) \|", README)}
    assert told == {row["suite"]: row["claims"] for row in rows}


def test_every_link_into_the_project_leads_somewhere():
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target


def test_the_two_commands_are_there_and_nothing_else_pretends_to_be_them():
    assert README.count("pip install -c constraints.txt . && bench run suites/cifar_mixers.toml") == 1
    assert README.count("pip install tox && tox") == 1


def test_the_committed_report_is_drawn_from_the_committed_rows(tmp_path):
    suite, store = "suites/cifar_mixers.toml", "results/reference"
    bench("report", suite, "--store", store, "--format", "html", "-o", str(tmp_path / "again.html"), cwd=ROOT)
    committed = (ROOT / "reports/reference/cifar_mixers.html").read_text(encoding="utf-8")
    digest = re.search(r'digest">([0-9a-f]{64})<', committed)[1]
    assert digest in (tmp_path / "again.html").read_text(encoding="utf-8")
