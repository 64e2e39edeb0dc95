"""What a figure is: drawn from its rows alone, themed, plain, readable by all, and the same to the byte."""

import io
import re
from dataclasses import replace
from xml.etree import ElementTree

import pandas as pd
import pytest

from bench.report.charts.accuracy import accuracies, accuracy_bars
from bench.report.charts.bars import counted
from bench.report.charts.curves import learning_curves
from bench.report.charts.draw import figures_of, forest_of
from bench.report.charts.figure import Absent
from bench.report.charts.forest import forest
from bench.report.charts.frames import PublishedCurve, published_curves
from bench.report.charts.palette import ALL_COLOURS, COLOURS, LEAST_WIDTH, SERIES, SHAPES, VERDICT_COLOURS, WIDTH
from bench.report.charts.studies import grid_of
from bench.report.charts.svg import axes, canvas, colours_of, finish, styled
from bench.statistics.intervals import Interval
from bench.verdicts import WORDS
from bench.verdicts.selection import grouped, of, selected


@pytest.fixture(scope="module")
def figures(material, suite, rows):
    """Every figure of the four suites, the forest plot of the first one first."""
    curves, _ = published_curves(suite.suite, suite.path.parent)
    verdicts = material.verdicts()
    found = [forest_of(suite.suite, verdicts), *figures_of(suite.suite, rows, curves, verdicts)]
    for name in ("mlp_mixer", "convmixer", "mobilevit_xxs"):
        other = material.suite(name)
        curves, _ = published_curves(other.suite, other.path.parent)
        measured = selected(other.suite, other.sha256, material.rows(name=name)).rows
        found += figures_of(other.suite, measured, curves, [])
    return found


def test_a_figure_without_rows_says_so_and_what_to_measure(suite, rows):
    found = accuracy_bars("x", suite.suite, rows[:0])
    assert isinstance(found, Absent)
    assert (found.reason, found.measure) == ("No model was trained.", "accuracy")


def test_a_reduced_run_says_in_its_reading_that_it_is_not_comparable(material, suite):
    quick = selected(suite.suite, suite.sha256, material.rows("quick", "cpu")).rows
    assert accuracy_bars("x", suite.suite, quick).reading.startswith("A reduced run, not comparable")


def test_the_parameter_figure_writes_its_subtraction_out(material):
    found = counted("x", material.suite().suite, [v for v in material.verdicts() if v.claim in ("H7", "H8")])
    # 147,456 - 17,536 = 129,920, which is 88.1 % of 147,456
    assert 147_456 - 17_536 == 129_920
    assert "147,456 − 129,920 = 17,536" in found.reading
    assert f"{100 * 129_920 / 147_456:.1f}\N{NO-BREAK SPACE}%" in found.reading
    assert "= 147,456 − 129,920" in found.svg


def test_a_loss_that_is_nan_leaves_a_gap_and_is_named_never_averaged_away(material, suite):
    raw = material.rows()
    bad = (raw["metric"] == "test_loss") & (raw["model"] == "mlp_mixer") & (raw["epoch"] == 7) & (raw["seed"] == 0)
    raw["value"] = raw["value"].mask(bad)
    found = selected(suite.suite, suite.sha256, raw).rows
    figure = learning_curves("x", suite.suite, found, [], "cifar10", "as_run")
    assert "Not finite, so a gap: test_loss of MLP-Mixer at epoch 7." in figure.note
    table = pd.read_csv(io.StringIO(figure.csv))
    gap = table[(table["model"] == "mlp_mixer") & (table["metric"] == "test_loss") & (table["epoch"] == 7)]
    assert gap["mean"].isna().all()


def test_published_curves_are_grey_and_stand_behind_the_measured_ones(material, suite, rows):
    curves, _ = published_curves(suite.suite, suite.path.parent)
    figure = learning_curves("x", suite.suite, rows, curves, "cifar10", "as_run")
    without = learning_curves("x", suite.suite, rows, [], "cifar10", "as_run")
    grey = 'stroke="var(--published)"'
    assert figure.svg.count(grey) >= 2
    assert grey not in without.svg
    assert figure.svg.index(grey) < figure.svg.index('stroke="var(--series-')


def test_a_published_curve_reaches_only_as_far_as_what_was_measured(material, suite):
    quick = selected(suite.suite, suite.sha256, material.rows("quick", "cpu")).rows
    curves, _ = published_curves(suite.suite, suite.path.parent)
    assert suite.suite.profiles["quick"].recipe.epochs == 3
    drawn = learning_curves("x", suite.suite, quick, curves, "cifar10", "as_run").svg
    ticks = re.findall(r'text-anchor="middle"[^>]*>(\d+)<', drawn)
    assert set(ticks) == {"1", "2", "3"}


def test_a_published_loss_is_drawn_among_losses_not_among_accuracies(material, suite, rows):
    loss = PublishedCurve("its loss", "train_loss", "mlp_mixer", "cifar10", (1.0, 30.0), (1.8, 0.7))
    drawn = learning_curves("x", suite.suite, rows, [loss], "cifar10", "as_run").svg
    x = float(re.search(r'<text x="([\d.]+)"[^>]*>its loss<', drawn).group(1))
    assert x > WIDTH / 2  # the right panel is the one of the losses


def test_a_grid_is_found_where_the_models_of_one_training_differ_in_two_arguments(material, suite):
    across, down, models = grid_of(material.suite("convmixer").suite)
    assert (across, down, len(models)) == ("kernel_size", "patch_size", 3 * 3)
    assert grid_of(suite.suite) is None


def test_a_heat_map_has_every_cell_with_the_published_value_in_brackets(figures):
    grid = next(figure for figure in figures if figure.name == "convmixer-grid")
    table = pd.read_csv(io.StringIO(grid.csv))
    assert len(table) == 3 * 3
    for line in table.to_dict("records"):
        assert f">{line['top1_pct']:.2f} %<" in grid.svg
        assert f">({line['published_pct']:.2f} %)<" in grid.svg


def test_costs_over_size_carry_their_exponent_made_quadratic_material_gives_2(figures):
    costs = pd.read_csv(io.StringIO(next(f for f in figures if f.name == "mlp_mixer-scaling").csv))
    peak = costs[costs["metric"] == "forward_peak_bytes"].groupby("model")["exponent"].first()
    # The made rows grow with the side to the 2nd and 4th power: with the number of pixels to the 1st and 2nd.
    assert peak["s16"] == pytest.approx(1)
    assert peak["vit_s16"] == pytest.approx(2)


def test_models_trained_on_different_data_are_never_pooled(material):
    other = material.suite("mlp_mixer")
    rows = selected(other.suite, other.sha256, material.rows(name="mlp_mixer")).rows
    trained = [each for each in of(rows, "test_top1_pct") if each.case.model == "resnet"]
    table = accuracies(other.suite, trained)
    assert len(table) == len(grouped(trained, lambda each: (each.case.dataset_key, each.case.recipe_key))) == 8
    assert (table["seeds"] == 3).all()


def test_the_forest_plot_has_every_claim_with_its_word_and_names_what_is_outside(figures, material):
    forest_figure = figures[0]
    text = "".join(ElementTree.fromstring(forest_figure.svg).itertext())
    for verdict in material.verdicts():
        assert verdict.claim in text
    assert {word for word in WORDS if word in text} == set(WORDS)
    assert "H10, H11 and H14 lie outside it" in forest_figure.reading
    assert forest_figure.reading in forest_figure.alt


def test_a_value_outside_the_axis_is_an_arrow_with_its_distance(material, suite):
    verdict = next(verdict for verdict in material.verdicts() if verdict.claim == "H8")
    # 147,456 where 17,536 is published: 129,920 too many, with no tolerance at all
    wrong = replace(
        verdict.checks[0], measured=Interval(147_456, 147_456, 147_456, "counted", 1), verdict="contradicted"
    )
    titles = {key: source.title for key, source in suite.suite.sources.items()}
    assert "+129,920 parameters" in forest("x", [replace(verdict, checks=(wrong,))], titles).svg


def test_every_figure_is_themed_by_variables_and_has_no_inline_style(figures):
    light = {pair[0] for pair in ALL_COLOURS.values()}
    for figure in figures:
        if isinstance(figure, Absent):
            continue
        assert not any(colour in figure.svg.lower() for colour in light), figure.name
        assert "style=" not in figure.svg
        assert "<style" not in figure.svg
        assert 'fill="currentColor"' in figure.svg
        assert "var(--" not in figure.standalone


def test_every_figure_says_its_finding_to_who_cannot_see_it(figures):
    for figure in figures:
        if not isinstance(figure, Absent):
            root = ElementTree.fromstring(figure.svg)
            assert root.get("role") == "img"
            assert figure.reading in root.get("aria-label")


def test_text_in_figures_is_text_of_at_least_11_px_where_a_figure_is_smallest(figures):
    for figure in figures:
        if not isinstance(figure, Absent):
            sizes = [float(size) for size in re.findall(r'font-size="([\d.]+)px"', figure.svg)]
            assert sizes
            assert min(sizes) * LEAST_WIDTH / WIDTH >= 11
            assert "rotate(" not in figure.svg


def test_no_two_texts_of_a_figure_cover_each_other(figures):
    """Boxes as wide as the widest of the usual system fonts would draw them: 0.58 em a character."""
    for figure in figures:
        if isinstance(figure, Absent):
            continue
        boxes = [box for box in map(_box, ElementTree.fromstring(figure.svg).iter()) if box]
        for i, (name, left, right, top, bottom) in enumerate(boxes):
            for other, *edges in boxes[:i]:
                apart_ = right <= edges[0] or edges[1] <= left or bottom <= edges[2] or edges[3] <= top
                assert apart_, f"{figure.name}: '{name}' covers '{other}'"


def _box(element):
    if not element.tag.endswith("}text") or not (element.text or "").strip():
        return None
    size = float(element.get("font-size").removesuffix("px"))
    wide = 0.58 * size * len(element.text)
    x, y = float(element.get("x", 0)), float(element.get("y", 0))
    if moved := re.search(r"translate\(([-\d.]+) ([-\d.]+)\)", element.get("transform", "")):
        x, y = x + float(moved.group(1)), y + float(moved.group(2))
    left = x - wide * {"middle": 0.5, "end": 1.0}.get(element.get("text-anchor"), 0.0)
    return element.text, left, left + wide, y - 0.75 * size, y + 0.2 * size


def test_a_figure_is_the_same_to_the_byte_for_the_same_rows(figures, material, suite, rows):
    curves, _ = published_curves(suite.suite, suite.path.parent)
    drawn = {figure.name: figure.svg for figure in figures if not isinstance(figure, Absent)}
    again = [figure for figure in figures_of(suite.suite, rows, curves, material.verdicts()) if figure.name in drawn]
    assert len(again) >= 5
    assert [figure.svg for figure in again] == [drawn[figure.name] for figure in again]


def test_a_figure_carries_its_data_as_csv(figures):
    header, *lines = next(figure for figure in figures if figure.name.endswith("forest")).csv.splitlines()
    assert header.startswith("claim,says,verdict,machine,unit,published")
    assert (
        len(lines) == 27
    )  # the suite's 17 claims and what else they say: H3 1, H10 1, H11 1, H14 3, H15 1, H16 2, H17 1


@styled
def _labelled(text):
    figure = canvas(60)
    axes(figure, 10, 10, 400, 40).text(0.5, 0.5, text)
    return finish(figure, "x", "title", "reading", text, pd.DataFrame({"name": [text]}))


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", 'a"b&c', "cost $x_1$ and $y$", "a\x07bell", "ünïcode ×"])
def test_a_name_in_a_figure_is_text_whatever_it_holds(name):
    found = _labelled(name)
    tree = ElementTree.fromstring(found.svg)
    text = "".join(element.text or "" for element in tree.iter() if element.tag.endswith("}text"))
    assert name.replace("\x07", "\N{REPLACEMENT CHARACTER}") in text
    assert "<script" not in found.svg


def test_one_model_has_one_colour_and_no_two_roles_share_one(suite):
    models = list(suite.suite.models)
    assert len(set(colours_of(models).values())) == len(models)
    light = [pair[0] for pair in ALL_COLOURS.values()]
    assert len(set(light)) == len(light)


def _luminance(colour):
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _contrast(one, other):
    lighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("side", [0, 1], ids=["light", "dark"])
def test_text_has_4_5_to_1_and_marks_have_3_to_1_against_the_page(side):
    paper, panel, band = (COLOURS[role][side] for role in ("surface", "panel", "band"))
    for role in ("ink", "muted", "link"):
        assert _contrast(COLOURS[role][side], paper) >= 4.5
        assert _contrast(COLOURS[role][side], panel) >= 4.5
    for name, pair in {**SERIES, **VERDICT_COLOURS, "published": COLOURS["published"]}.items():
        assert _contrast(pair[side], paper) >= 3, name
    for name, pair in VERDICT_COLOURS.items():
        assert _contrast(pair[side], band) >= 2.5, name


def test_every_verdict_has_a_shape_of_its_own():
    assert set(SHAPES) == set(WORDS) == set(VERDICT_COLOURS)
    assert len({character for _, _, character in SHAPES.values()}) == len(WORDS)
