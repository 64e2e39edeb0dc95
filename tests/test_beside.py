"""A source's table rebuilt, claims of two sources beside each other, and the figures of weights and of epoch times."""

import base64
import io
import re
from dataclasses import replace

import pandas as pd
import pytest

from bench.cost import devices
from bench.errors import SuiteError
from bench.plan.planner import plan
from bench.records import packed
from bench.report import build, render_html, render_markdown
from bench.report.charts import hardware, weights
from bench.report.charts.figure import Absent
from bench.report.charts.frames import published_curves
from bench.report.claimrows import claim_rows
from bench.report.costing import bill
from bench.suite.read import load
from bench.suite.references import reference
from bench.verdicts import judge
from bench.verdicts.selection import selected

MACS = {"convmixer_768_32": 20_700_000_000.0, "k5_p2": 150_000_000.0}


def counted(material, loaded):
    cases = [case for case in plan(loaded.suite, loaded.sha256, "quick") if case.measure == "static"]
    return material.frame([material.row(case, "macs", MACS[case.model]) for case in cases if case.model in MACS])


@pytest.fixture(scope="module")
def conv(material):
    loaded = material.suite("convmixer")
    rows = counted(material, loaded)
    verdicts = judge(loaded.suite, loaded.sha256, rows, suite_path="suites/convmixer.toml")
    return loaded, rows, verdicts, build([loaded], verdicts, rows, material.environments(), now=material.NOW)


# The table


def test_every_cell_of_the_table_has_the_word_and_the_number_of_its_claim(conv):
    loaded, _, verdicts, page = conv
    by_id = {verdict.claim: verdict for verdict in verdicts}
    (table,) = page.sections[0].tables
    shown = [cell for _, lines in table.groups for _, cells in lines for cell in cells if cell and cell.link]
    asked = [text for row in loaded.suite.tables["table_2"].rows for text in row.checks if text]
    assert len(shown) == len(asked) >= 20
    for cell, text in zip(shown, asked, strict=True):
        claim, number = reference(text)
        assert (cell.link.claim, cell.word) == (claim, by_id[claim].checks[number].verdict)
        assert cell.published is not None
    # 7.5e18 / 5e12 / 3600 = 416.7 hours
    assert round(7.5e18 / 5e12 / 3600) == 417
    assert next(cell for cell, text in zip(shown, asked, strict=True) if text == "C4").rebuilt == "417 h"


def test_a_training_is_counted_in_full_with_two_flops_for_each_multiply_accumulate(conv):
    (table,) = conv[3].sections[0].tables
    cells = next(cells for label, cells in dict(table.groups)[table.groups[0][0]] if label.startswith("counted"))
    flops = 2 * 3 * MACS["convmixer_768_32"] * 1_281_167 * 100
    assert flops == pytest.approx(1.59e19, rel=0.01)
    hours = flops / 5e12 / 3600
    assert cells[0].rebuilt == "1.59 × 10¹⁹ FLOPs"
    assert cells[1].rebuilt.startswith(f"{hours:,.0f} h, ")


def test_a_training_that_was_not_counted_leaves_its_cells_empty(conv):
    (table,) = conv[3].sections[0].tables
    cells = next(cells for label, cells in dict(table.groups)[table.groups[1][0]] if label.startswith("counted"))
    assert cells == (None,) * 4


def test_the_table_stands_in_both_forms_of_the_page_and_links_to_its_claims(conv):
    html, (markdown, _) = render_html(conv[3]), render_markdown(conv[3], "figures")
    beside = re.search(r'<table class="beside">.*?</table>', html, re.S).group()
    assert beside.count("<th ") > 8
    assert beside.count('href="#C4"') == 6
    assert "| time; MACs of all convolutions | 7.5 × 10¹⁸ FLOPs |" in markdown


MISTAKES = [
    ('"C4.1"', '"C40.1"', "checks: no claim 'C40'. Did you mean 'C4"),
    ('"C4.1"', '"C4.9"', "checks: C4 also says 5 things, not a '9'"),
    ('device = "v100"', 'device = "v1000"', "no device 'v1000'. Did you mean 'v100'?"),
    ('training = "convmixer_768_32"', 'training = "convmixer_768"', "training: no cost 'convmixer_768'"),
    ('checks = ["C6"]', 'checks = ["C6", "", "", "", ""]', "checks: 5 for 4 columns"),
]


@pytest.mark.parametrize(("right", "wrong", "told"), MISTAKES, ids=[told[:24] for _, _, told in MISTAKES])
def test_a_wrong_reference_of_a_table_is_named_with_its_line(material, tmp_path, right, wrong, told):
    text = material.suite("convmixer").path.read_text()
    assert right in text
    (tmp_path / "x.toml").write_text(text.replace(right, wrong, 1))
    with pytest.raises(SuiteError) as caught:
        load(tmp_path / "x.toml")
    assert [problem for problem in caught.value.problems if "[tables.table_2" in problem and told in problem]


# Two sources, one claim


def beside(material, words):
    """What the rows of claims that compare each other say, under made words."""
    made = [
        replace(verdict, claim=claim, verdict=word, compare=tuple(other for other in words if other != claim))
        for verdict, (claim, word) in zip(material.verdicts(), words.items(), strict=False)
    ]
    anchors = {(verdict.suite, verdict.claim): verdict.claim for verdict in made}
    return {row.beside for row in claim_rows(material.suite().suite, made, anchors)}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"A": "contradicted", "Ap": "reproduced"}, "The measurement supports Ap, not A"),
        ({"A": "reproduced", "Ap": "reproduced"}, "A and Ap agree with the measurement"),
        ({"A": "reproduced", "Ap": "inconclusive"}, "Not decided between them: A is reproduced and Ap is inconclusive"),
        ({"A": "contradicted", "Ap": "inconsistent"}, "Neither holds: A is contradicted and Ap is inconsistent"),
        ({"A": "not measured", "Ap": "not measured"}, "Not decided between A and Ap: not measured"),
        ({"A": "reproduced"}, None),
    ],
)
def test_claims_about_the_same_thing_say_which_one_the_measurement_supports(material, words, said):
    assert beside(material, words) == {said}


def test_every_claim_that_compares_is_compared_with_in_turn(material):
    for name in ("cifar_mixers", "mlp_mixer", "convmixer", "mobilevit_xxs"):
        claims = material.suite(name).suite.claims
        for key, claim in claims.items():
            assert all(key in claims[other].compare for other in claim.compare), key
    asked = {"M1", "M4", "M5", "M8", "M9", "M13"}
    assert all(f"{key}p" in material.suite("mlp_mixer").suite.claims[key].compare for key in asked)


# Weights


def weight_rows(material, models=("cifar", "cifar_patch2")):
    loaded = material.suite("mlp_mixer")
    cases = [c for c in plan(loaded.suite, loaded.sha256, "quick") if c.measure_key == "accuracy" and c.model in models]
    made = []
    for case in cases:
        side = {"cifar": 4, "cifar_patch2": 2}[case.model]
        shown = packed.pack([[i - 1.5] * (3 * side**2) for i in range(4)], (3, side, side), [3, 1, 0, 2], of=128)
        units = packed.pack([[1.0, 0.0, 0.0, -1.0], [-1.0, 0.0, 0.0, 1.0]], (1, 2, 2), [0, 1], of=2)
        part = "blocks.0.token_mlp.fc1"
        made += [
            material.row(case, "patch_filters", 128.0, part="patch_embedding", epoch=2, detail=shown),
            material.row(case, "opposite_cosine", -0.3, part=part, epoch=0),
            material.row(case, "opposite_cosine", -0.9, part=part, epoch=2, detail=units),
        ]
    return loaded, selected(loaded.suite, loaded.sha256, material.frame(made)).rows


def test_a_tile_is_a_picture_of_one_pixel_per_weight(material):
    loaded, rows = weight_rows(material)
    figure = weights.filters("x", loaded.suite, rows)
    told = "Mixer, patch 4, 4 × 4 pixels, 4 of 128 filters; Mixer, patch 2, 2 × 2 pixels, 4 of 128 filters."
    assert figure.reading.replace("\N{NO-BREAK SPACE}", " ") == f"After training: {told}"
    pictures = re.findall(r'href="data:image/png;base64,\s*([^"]+)"', figure.svg)
    assert len(pictures) == 4 + 4
    header = base64.b64decode(pictures[0])[16:24]
    assert (int.from_bytes(header[:4], "big"), int.from_bytes(header[4:], "big")) == (4, 4)
    assert figure.svg == weights.filters("x", loaded.suite, rows).svg


def test_the_figure_of_token_mixing_says_how_opposite_units_were_before_and_after(material):
    loaded, rows = weight_rows(material)
    figure = weights.mixing("x", loaded.suite, rows)
    assert "−0.90 in blocks.0.token_mlp.fc1 (before training −0.30)" in figure.reading
    table = pd.read_csv(io.StringIO(figure.csv))
    assert table["weights_in_127ths_of_largest"].tolist() == ["[127 0 0 -127]", "[-127 0 0 127]"]


def test_a_suite_that_asks_for_pictures_and_has_no_rows_says_so(material):
    loaded, rows = weight_rows(material)
    assert weights.has_pictures(loaded.suite, rows[:0])
    assert not weights.has_pictures(material.suite().suite, rows[:0])
    for draw in (weights.filters, weights.mixing):
        assert isinstance(draw("x", loaded.suite, rows[:0]), Absent)


# Seconds per epoch


def test_published_times_come_from_the_log_and_estimates_from_counts(conv):
    loaded, rows, _, _ = conv
    curves, _ = published_curves(loaded.suite, loaded.path.parent)
    figure = hardware.epoch_times("x", loaded.suite, selected(loaded.suite, loaded.sha256, rows).rows, curves)
    table = pd.read_csv(io.StringIO(figure.csv)).set_index(["device", "basis"])
    assert table.loc[("2080Ti", "published"), "seconds_per_epoch"] == pytest.approx(42.62, abs=0.005)
    t4 = devices.DEVICES["t4"]
    assert table.loc[(t4.title, "published"), "values"] == 25
    # 2 FLOPs x 3 passes x 150e6 MACs x 50,000 images = 4.5e13; at 5e12 a second that is 9 s
    assert 2 * 3 * 150e6 * 50_000 / 5e12 == 9.0
    assert table.loc[(t4.title, "estimated"), "high"] == pytest.approx(9.0)
    assert "times the slowest estimate" in figure.reading


def test_a_measured_epoch_is_carried_over_to_all_images_and_drawn_solid(material, conv):
    loaded, rows, _, _ = conv
    case = next(c for c in plan(loaded.suite, loaded.sha256, "quick") if c.measure == "accuracy" and c.model == "k5_p2")
    timed = [replace(material.row(case, "epoch_s", 4.0, epoch=epoch), n_train=2000) for epoch in (1, 2)]
    both = pd.concat([rows, material.frame(timed)], ignore_index=True)
    curves, _ = published_curves(loaded.suite, loaded.path.parent)
    figure = hardware.epoch_times("x", loaded.suite, selected(loaded.suite, loaded.sha256, both).rows, curves)
    # 4 s for 2,000 images are 100 s for 50,000
    assert pd.read_csv(io.StringIO(figure.csv)).set_index("basis").loc["measured", "seconds_per_epoch"] == 100.0
    assert ">measured 100 s<" in figure.svg.replace("\N{NO-BREAK SPACE}", " ")


@pytest.mark.parametrize("threads", [1, 2, 16])
def test_hours_measured_on_a_processor_are_carried_over_by_as_many_cores_as_there_were_threads(material, threads):
    loaded = material.suite()
    case = next(c for c in plan(loaded.suite, loaded.sha256, "paper") if c.name.startswith("accuracy/mlp_mixer/"))
    on_cpu = {"n_train": 50_000, "threads": threads, "device": "cpu", "device_name": "Some processor"}
    timed = [replace(material.row(case, "epoch_s", 720.0, epoch=epoch), **on_cpu) for epoch in range(1, 31)]
    rows = selected(loaded.suite, loaded.sha256, material.frame(timed)).rows
    (line,) = [line for line in bill(loaded.suite, rows) if "measured on Some processor" in line.way]
    # 30 epochs of 720 s are 6 hours of so many cores; the suite's training is 30 epochs of 50,000 images too.
    there = {cell.device: cell.hours for cell in line.cells}
    assert there["t4"] == pytest.approx(6 * threads * devices.CPU_CORE.value / devices.DEVICES["t4"].effective[0].value)


def test_published_times_alone_draw_nothing(conv):
    loaded, rows, _, _ = conv
    curves, _ = published_curves(loaded.suite, loaded.path.parent)
    empty = selected(loaded.suite, loaded.sha256, rows).rows[:0]
    assert isinstance(hardware.epoch_times("x", loaded.suite, empty, curves), Absent)
