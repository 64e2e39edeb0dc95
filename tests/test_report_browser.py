"""The page in a real browser: phone, dark, keyboard, print, fragment, and without its script."""

import re
import shutil

import pytest

from bench.report import build, render_html

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine"),
]


@pytest.fixture(scope="module")
def path(material, tmp_path_factory):
    page = build([material.suite()], material.verdicts(), material.rows(), material.environments(), now=material.NOW)
    file = tmp_path_factory.mktemp("page") / "page.html"
    file.write_text(render_html(page), encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as driver:
        found = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield found
        found.close()


@pytest.fixture
def open_page(browser, path):
    """Opens the page; afterwards nothing may have been asked of the network or complained of on the console."""
    contexts, complaints, asked = [], [], []

    def opened(fragment="", width=1280, **options):
        context = browser.new_context(viewport={"width": width, "height": 900}, **options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(f"{path.as_uri()}{fragment}")
        return page

    yield opened
    for context in contexts:
        context.close()
    assert complaints == []
    assert {url.partition("#")[0] for url in asked} == {path.as_uri()}


def shown(page):
    return page.eval_on_selector_all("tbody.claim", "all => all.filter(c => c.offsetParent).map(c => c.id)")


def opened_rows(page):
    script = "all => all.filter(c => c.querySelector('.opened').offsetParent).map(c => c.id)"
    return page.eval_on_selector_all("tbody.claim", script)


@pytest.mark.parametrize("width", [360, 768, 1280])
def test_the_page_never_scrolls_sideways_its_tables_and_figures_do_in_their_own_box(open_page, width):
    page = open_page("#open=H14", width=width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    boxes = page.eval_on_selector_all(".scroll", "all => all.map(b => [b.scrollWidth > b.clientWidth, b.tabIndex])")
    assert any(wider for wider, _ in boxes) == (width < 1000)
    assert all(tab == 0 for _, tab in boxes)


def test_an_opened_row_is_as_wide_as_the_phone(open_page):
    page = open_page("#open=H14", width=360)
    box = page.locator("#H14 .sheet").bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 360


LUMINANCE = """
(scheme) => {
  const parse = (text) => (text.match(/[\\d.]+/g) || [0, 0, 0, 0]).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((part) => part / 255)
    .map((part) => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4)
    .reduce((sum, part, i) => sum + part * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = parse(getComputedStyle(at).backgroundColor);
      if (colour.length === 3 || colour[3] > 0) return colour;
    }
    return [255, 255, 255];
  };
  const found = [];
  for (const element of document.querySelectorAll("body *")) {
    const text = [...element.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
    if (!text || !element.getClientRects().length || element.closest("script, style")) continue;
    const style = getComputedStyle(element);
    const ink = parse(element instanceof SVGElement ? style.fill : style.color);
    const [one, other] = [light(ink), light(behind(element))].sort((a, b) => b - a);
    found.push([(one + 0.05) / (other + 0.05), element.textContent.trim().slice(0, 40)]);
  }
  return found;
}
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_has_a_contrast_of_at_least_4_5_to_1(open_page, scheme):
    page = open_page("#open=H3,H14", color_scheme=scheme)
    found = page.evaluate(LUMINANCE, scheme)
    assert len(found) > 300
    assert min(found)[0] >= 4.5, min(found)


def test_figures_follow_the_colour_scheme(open_page):
    inks = set()
    for scheme in ("light", "dark"):
        page = open_page(color_scheme=scheme)
        inks.add(page.eval_on_selector("svg.drawing text", "text => getComputedStyle(text).fill"))
    assert len(inks) == 2


def test_text_in_figures_is_at_least_11_px_at_every_width(open_page):
    for width in (360, 900, 1280):
        page = open_page(width=width)
        script = """all => Math.min(...all.map(text => parseFloat(getComputedStyle(text).fontSize)
          * text.ownerSVGElement.getBoundingClientRect().width / text.ownerSVGElement.viewBox.baseVal.width))"""
        assert page.eval_on_selector_all("svg.drawing text", script) >= 11


def test_no_two_texts_of_a_figure_touch_as_the_browser_draws_them(open_page):
    page = open_page()
    script = """all => all.flatMap(svg => {
      const boxes = [...svg.querySelectorAll("text")].map(t => [t.textContent, t.getBoundingClientRect()]);
      return boxes.flatMap(([name, a], i) => boxes.slice(0, i)
        .filter(([, b]) => Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1
                        && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 4)
        .map(([other]) => [name, other]));
    })"""
    assert page.eval_on_selector_all("svg.drawing", script) == []


def test_no_text_of_a_figure_leaves_its_picture(open_page):
    page = open_page()
    script = """all => all.flatMap(svg => {
      const box = svg.getBoundingClientRect();
      return [...svg.querySelectorAll("text")].filter(t => {
        const at = t.getBoundingClientRect();
        return at.left < box.left - 1 || at.right > box.right + 1 || at.top < box.top - 1 || at.bottom > box.bottom + 1;
      }).map(t => t.textContent);
    })"""
    assert page.eval_on_selector_all("svg.drawing", script) == []


def test_a_tile_filters_the_table_says_so_and_writes_it_into_the_fragment(open_page, material):
    page = open_page()
    wanted = [verdict.claim for verdict in material.verdicts() if verdict.verdict == "contradicted"]
    page.click(".tile[data-verdict=contradicted]")
    assert sorted(shown(page)) == sorted(wanted)
    assert page.url.endswith("#verdict=contradicted")
    assert page.inner_text(".shown").startswith(f"{len(wanted)} of 17 claims: contradicted.")
    assert page.get_attribute(".tile[data-verdict=contradicted]", "aria-pressed") == "true"
    page.click(".shown button")
    assert len(shown(page)) == 17
    assert "#" not in page.url


def test_a_search_leaves_the_claims_that_have_the_words_and_show_all_brings_the_others_back(open_page):
    page = open_page()
    page.fill(".shown input", "parameters")
    found = shown(page)
    assert 0 < len(found) < 17
    assert page.inner_text(".shown span").startswith(f"{len(found)} of 17 claims")
    assert page.url.endswith("#find=parameters")
    page.click(".shown button")
    assert len(shown(page)) == 17
    assert "#" not in page.url
    assert shown(open_page("#find=parameters")) == found


def test_a_command_is_never_cut_and_has_a_button_that_copies_it(open_page):
    page = open_page("#open=H1", width=768)
    boxes = page.eval_on_selector_all("pre.command", "all => all.filter(c => c.scrollWidth > c.clientWidth + 1).length")
    assert boxes == 0
    assert page.locator("#H1 pre.command button").inner_text() == "Copy"


def test_marks_tell_their_numbers_to_a_pointer_that_rests_on_them(open_page):
    told = open_page().eval_on_selector_all("svg.drawing title", "all => all.map(t => t.textContent)")
    assert any(text.startswith("H1: ") for text in told)
    assert len(told) > 20


def test_filter_sort_and_open_state_come_back_from_the_fragment(open_page):
    page = open_page("#verdict=not-measured&sort=verdict&open=H4")
    assert shown(page) == ["H4", "H5", "H17"]
    assert opened_rows(page) == ["H4"]
    assert page.get_attribute("th[data-sort=verdict]", "aria-sort") == "ascending"


def test_a_row_opens_and_closes_and_the_fragment_follows(open_page):
    page = open_page()
    page.click("#H3 summary")
    assert opened_rows(page) == ["H3"]
    page.wait_for_url(re.compile("#open=H3$"))
    page.click("#H3 summary")
    assert opened_rows(page) == []


def test_a_finding_leads_to_its_opened_row(open_page):
    page = open_page("#verdict=reproduced", reduced_motion="reduce")
    page.click(".findings a[href='#H14']")
    assert "H14" in opened_rows(page)
    assert -1 < page.locator("#H14").bounding_box()["y"] < 900  # a part of a pixel may be cut


def test_sorting_by_difference_puts_the_farthest_first_and_what_was_not_measured_last(open_page):
    page = open_page()
    page.click("th[data-sort=difference] button")
    order = shown(page)
    assert order[0] == "H11"  # its training loss lies farthest from the edge, as the plot shows
    assert order[-5:] == ["H4", "H5", "H6", "H16", "H17"]  # no rows, or no band to be far from


@pytest.mark.parametrize(
    "fragment", ["#nothing", "#verdict=%3Cb%3E", "#open=H999,,", "#sort=up", "#%", "#verdict=&open="]
)
def test_a_fragment_that_means_nothing_changes_nothing(open_page, fragment):
    assert len(shown(open_page(fragment))) == 17


def test_the_keyboard_reaches_every_control_and_works_it(open_page):
    page = open_page()
    script = "all => all.filter(e => e.offsetParent !== null || e.tagName === 'SUMMARY').length"
    controls = page.eval_on_selector_all("a[href], button, summary, [tabindex='0']", script)
    reached = set()
    for _ in range(controls + 20):
        page.keyboard.press("Tab")
        where = page.evaluate("[...document.querySelectorAll('body *')].indexOf(document.activeElement)")
        if where < 0:
            break
        reached.add(where)
    assert len(reached) >= controls
    page.focus("#H3 summary")
    page.keyboard.press("Enter")
    assert opened_rows(page) == ["H3"]
    page.focus(".tile[data-verdict=contradicted]")
    page.keyboard.press("Space")
    assert len(shown(page)) == 3


def test_without_its_script_everything_is_there_opens_and_is_linked(open_page):
    page = open_page(java_script_enabled=False)
    assert page.locator("tbody.claim").count() == 17
    assert page.locator("#H3 .opened").is_hidden()
    page.click("#H3 summary")
    assert page.locator("#H3 .opened").is_visible()
    page.click(".findings a[href='#H14']")
    assert page.locator("#H14 .opened").is_visible()
    assert page.locator("th button").count() == 0
    assert page.locator("svg.drawing").count() >= 5


def test_print_is_black_on_white_with_every_row_opened_and_no_controls(open_page):
    page = open_page("#verdict=contradicted", color_scheme="dark")
    page.emulate_media(media="print", color_scheme="dark")
    assert len(opened_rows(page)) == len(shown(page)) == 17
    body = page.evaluate("(s => [s.color, s.backgroundColor])(getComputedStyle(document.body))")
    assert body == ["rgb(0, 0, 0)", "rgb(255, 255, 255)"]
    assert page.locator(".shown").is_hidden()
    assert page.locator(".data").first.is_hidden()


def test_the_data_of_a_figure_can_be_downloaded(open_page):
    page = open_page()
    with page.expect_download() as download:
        page.click("#cifar_mixers-forest .data")
    assert download.value.suggested_filename == "cifar_mixers-forest.csv"
    assert "H14" in download.value.path().read_text()


def test_the_page_is_interactive_within_a_second(open_page):
    page = open_page()
    ready = page.evaluate("performance.getEntriesByType('navigation')[0].domComplete")
    assert ready < 1000
