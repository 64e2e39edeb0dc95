"""The page: what it says, in which order, and that a name can never become markup."""

import base64
import hashlib
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from bench.report import render_html
from bench.report.charts.figure import Absent
from bench.suite.read import LoadedSuite
from bench.verdicts import WORDS

VOID = {"meta", "br", "img", "link", "input", "hr"}


@pytest.fixture(scope="module")
def html(page):
    return render_html(page)


class _Tree(HTMLParser):
    """Reads a page as a browser would, and fails where it would have to guess."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.open, self.ids, self.headings, self.tags, self.text = [], [], [], [], []
        self.feed(text)
        assert self.open == [], f"never closed: {self.open}"

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        assert len(given) == len(attrs), f"<{tag}> has an attribute twice"
        self.tags.append((tag, given))
        if "id" in given:
            self.ids.append(given["id"])
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> closes nothing"
        assert self.open[-1] == tag, f"</{tag}> inside <{self.open[-1]}>"
        self.open.pop()

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("script", "style"):
            self.text.append(data)


# What it says


def test_the_head_has_the_question_one_line_of_conditions_and_five_tiles_and_one_for_open_questions(page, material):
    assert page.title == material.suite().suite.question
    assert page.conditions == (
        "NVIDIA H200", "float32", "profile paper", "3 seeds", "2026-11-20", "bench 0.1.0", "torch 2.13.0",
    )  # fmt: skip
    assert [tile.word for tile in page.tiles] == [
        "reproduced", "contradicted", "inconclusive", "inconsistent", "not measured", "answered",
    ]  # fmt: skip
    assert sum(tile.count for tile in page.tiles) == len(material.suite().suite.claims)


def test_a_suite_without_open_questions_has_no_tile_for_answers(material):
    judged = [verdict for verdict in material.verdicts() if verdict.verdict != "answered"]
    assert "answered" not in {tile.word for tile in material.page(verdicts=judged).tiles}


def test_the_findings_are_three_to_eight_strongest_first_each_linked_to_its_claim(page):
    assert 3 <= len(page.findings) <= 8
    assert page.findings[0].word == "contradicted"
    anchors = {claim.anchor for claim in page.sections[0].claims}
    assert all(finding.link.anchor in anchors for finding in page.findings)


def test_a_quick_run_says_so_in_the_first_sentence_and_a_full_one_does_not(material, page):
    quick = material.page(rows=material.rows("quick", "cpu"))
    assert quick.reduced.startswith("This is a quick run: what depends on training is shown as a hint and not judged.")
    assert page.reduced is None


def test_percent_and_points_are_never_mixed(page):
    by_id = {claim.claim: claim.checks[0] for claim in page.sections[0].claims}
    h1 = by_id["H1"]
    # 76.71 % published; the seeds' mean is (76.42 + 76.95 + 76.61) / 3 = 76.66, so 0.05 points less
    assert f"{(76.42 + 76.95 + 76.61) / 3:.2f}" == "76.66"
    assert (str(h1.published), str(h1.measured), str(h1.difference)) == ("76.71 %", "76.66 %", "−0.05 points")


def test_an_opened_row_holds_source_place_quotation_tolerance_seeds_protocol_and_the_command(page):
    claim = next(claim for claim in page.sections[0].claims if claim.claim == "H1")
    check = claim.checks[0]
    assert (claim.where, claim.quote) == ("Table 1", "CIFAR-10 76.71%")
    details = dict(check.details)
    assert details["Claimed band"] == "75.71 to 77.71 %"  # 76.71 ± 1.0
    assert "10,000 test images" in details["Why this tolerance"]
    assert details["Test set resolves"] == "±0.75 points at 95 %"
    assert "NVIDIA H200" in details["Protocol"]
    assert check.sample_columns == ("seed", "value", "run")
    assert [sample["value"] for sample in check.samples] == ["76.42", "76.95", "76.61"]
    assert check.command.startswith("bench run ")


def test_claims_about_the_same_thing_stand_together(material):
    verdicts = material.verdicts()
    verdicts[0] = replace(verdicts[0], compare=("H14",))
    claims = material.page(verdicts=verdicts).sections[0].claims
    assert [claim.claim for claim in claims][:3] == ["H1", "H14", "H2"]
    assert claims[0].compare[0].anchor == "H14"


def test_a_calculation_that_does_not_follow_is_shown_line_by_line(page, html):
    (only,) = page.sections[0].calculations
    assert (only.claim, only.lines) == ("H6", ("H5 - H4 = 6.83",))
    assert '<pre class="lines">H5 - H4 = 6.83</pre>' in html[html.index("Calculations that do not follow") :]


def test_a_cost_cell_carries_its_label_in_words(page, html):
    cells = [cell for _, ways in page.sections[0].costs.trainings for _, way in ways for cell in way if cell]
    bases = {cell.basis for cell in cells}  # predicted too, where a model was traced before
    assert {"published", "estimated"} <= bases <= {"published", "estimated", "predicted"}
    # 30 epochs of 46.5 s, as published for the T4: 1,395 s = 23.25 min
    assert 30 * 46.5 / 60 == 23.25
    assert any(cell.time in ("23.2 min", "23.3 min") and cell.basis == "published" for cell in cells)
    for cell in cells:
        assert f'<span class="basis">{cell.basis}</span>' in html


def test_costs_measured_here_are_estimates_on_other_devices_and_measured_on_their_own(material):
    rows = material.rows().assign(device_name="NVIDIA A100-SXM4-40GB")
    costs = material.page(rows=rows).sections[0].costs
    ways = dict(costs.trainings[0][1])
    here = ways["seconds per image measured on NVIDIA A100-SXM4-40GB"]
    assert [cell.basis for cell in here] == ["estimated", "estimated", "published", "estimated"]
    # The hours are measured, the A100's price is the published one, and a cell carries its weakest label.


def test_a_figure_that_lacks_its_rows_gives_the_command_under_a_profile_that_measures_them(page):
    absent = [figure for figure in page.sections[0].figures if isinstance(figure, Absent)]
    assert [figure.command for figure in absent] == [
        "bench run suites/cifar_mixers.toml --profile paper --only 'accuracy_cifar100/*'"
    ]


def test_the_page_names_its_rows_by_their_digest_and_a_changed_row_changes_it(material, page):
    rows = material.rows()
    shuffled = rows.sample(frac=1, random_state=0).reset_index(drop=True)
    assert material.page(rows=shuffled).digest == page.digest
    changed = rows.assign(value=rows["value"].where(rows.index != 0, 1.0))
    assert material.page(rows=changed).digest != page.digest
    assert len(page.digest) == 64


def test_no_path_of_this_machine_stands_on_the_page(html, material):
    assert str(material.ROOT) not in html
    assert "bench report suites/cifar_mixers.toml --format html" in html


# HTML


def test_the_order_is_head_findings_forest_claims_figures_costs_calculations_environment(html):
    order = ["<h1>", ">Findings</h2>", ">All claims at a glance</h2>", ">Claims</h2>", ">Figures</h2>",
             ">What a training costs</h2>", ">Calculations that do not follow</h2>",
             ">Environment and provenance</h2>"]  # fmt: skip
    places = [html.index(text) for text in order]
    assert places == sorted(places)


def test_every_tag_is_closed_every_id_is_unique_and_headings_are_in_order(html):
    tree = _Tree(html)
    assert len(tree.ids) == len(set(tree.ids))
    assert tree.headings[0] == 1
    assert tree.headings.count(1) == 1
    assert all(after <= before + 1 for before, after in zip(tree.headings, tree.headings[1:], strict=False))


def test_every_link_inside_the_page_has_a_target(html):
    tree = _Tree(html)
    targets = {given["href"][1:] for _, given in tree.tags if given.get("href", "").startswith("#")}
    assert {target for target in targets if not target.startswith("verdict=")} <= set(tree.ids)


def test_the_policy_forbids_the_network_and_allows_exactly_the_two_inline_blocks(html):
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', html).group(1).replace("&#39;", "'")
    assert policy.startswith("default-src 'none'")
    for tag in ("style", "script"):
        block = re.search(f"<{tag}>(.*?)</{tag}>", html, re.DOTALL).group(1)
        digest = base64.b64encode(hashlib.sha256(block.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy


def test_there_is_no_inline_style_no_inline_handler_and_nothing_that_loads(html):
    for tag, given in _Tree(html).tags:
        assert "style" not in given, tag
        assert not [name for name in given if name.startswith("on")], tag
        assert "src" not in given, tag
        assert tag not in ("link", "iframe", "object", "embed", "base", "form"), tag
    assert "url(http" not in html
    assert "@import" not in html


def test_every_control_has_a_name_and_every_figure_an_alternative(html):
    for tag, given in _Tree(html).tags:
        if given.get("role") in ("img", "region"):
            assert given["aria-label"].strip(), tag


def test_names_are_text_never_markup(material):
    text = render_html(material.page(**material.hostile()))
    tree = _Tree(text)
    assert [tag for tag, _ in tree.tags].count("script") == 1
    assert material.HOSTILE in "".join(tree.text)
    assert "javascript:" not in text


def test_a_page_for_1000_rows_is_under_2_mb_and_the_script_can_be_read_in_one_sitting(material):
    rows = material.rows()
    few = rows[rows["metric"].isin(["test_top1_pct", "test_loss", "train_loss", "fps", "params", "macs"])].head(1000)
    assert len(few) == 1000
    text = render_html(material.page(rows=few))
    assert len(text.encode()) < 2 * 1024**2
    assert len(re.search("<script>(.*?)</script>", text, re.DOTALL).group(1).splitlines()) <= 130


def test_the_page_is_the_same_to_the_byte_for_the_same_rows_and_date(material, html):
    assert render_html(material.page()) == html


def test_a_store_without_rows_gives_a_page_that_says_so(material):
    page = material.page(rows=material.rows().iloc[:0], environments=material.environments().iloc[:0])
    text = render_html(page)
    _Tree(text)
    assert page.conditions == ("no rows yet",)
    assert "Nothing was measured yet." in text
    assert '<svg class="drawing"' not in text.replace(page.sections[0].forest.svg, "")


# Several suites


@pytest.fixture(scope="module")
def two(material):
    loaded = material.suite()
    other = LoadedSuite(loaded.suite.model_copy(update={"id": "other"}), loaded.sha256, loaded.path)
    verdicts = material.verdicts()
    again = [replace(verdict, suite="other") for verdict in verdicts]
    return material.page(suites=[loaded, other], verdicts=[*verdicts, *again])


def test_several_suites_stand_in_sections_of_their_own_behind_what_is_contradicted_or_open(two):
    text = render_html(two)
    tree = _Tree(text)
    assert len(tree.ids) == len(set(tree.ids))
    assert all(after <= before + 1 for before, after in zip(tree.headings, tree.headings[1:], strict=False))
    assert text.index(">Contradicted or open<") < text.index('id="cifar_mixers"') < text.index('id="other"')
    told = [*two.findings, *two.first]
    assert {finding.word for finding in told} >= {"contradicted", "inconsistent", "inconclusive"}
    assert len({finding.link for finding in told}) == len(told)  # nothing is told twice
    assert [finding.word for finding in two.first] == sorted((f.word for f in two.first), key=WORDS.index)
    assert "other-H1" in tree.ids
