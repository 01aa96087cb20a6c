"""The page in a real browser: it renders without a complaint, in both colour schemes, narrow, by keyboard, on paper."""

import re
import subprocess
from collections.abc import Iterator

import pytest
from chromium import Chromium, find_chromium

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    program = find_chromium()
    if program is None:
        pytest.skip("no Chromium is installed: apt-get install chromium")
    browser = Chromium(program, tmp_path_factory.mktemp("chromium"))
    try:
        yield browser
    finally:
        browser.close()


@pytest.mark.parametrize("width", [360, 768, 1280])
@pytest.mark.parametrize("which", ["full_report", "compared"])
def test_it_renders_without_a_complaint_and_never_scrolls_sideways(chromium, request, which, width):
    page = request.getfixturevalue(which).path
    chromium.open(page, width=width, dark=width == 768)
    for dark in (width == 768, width != 768):  # To load a page takes most of the time; its colours are CSS alone.
        chromium.prefer(dark=dark)
        assert chromium.run("matchMedia('(prefers-color-scheme: dark)').matches") == dark
        assert chromium.run("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
        # Nor with everything opened.
        chromium.run("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
        assert chromium.run("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
        assert not chromium.complaints()
        assert not chromium.requests()
        # What is read can be told from what it is written on (WCAG 2, 4.5 : 1).
        assert chromium.run(_FAINT) == []


# Text whose contrast with the colour behind it is below 4.5, by WCAG's formula; colour-mix comes as color(srgb ...).
_FAINT = """
(() => {
  const rgb = (text) => {
    const numbers = text.match(/[\\d.]+/g).map(Number);
    return text.startsWith("color(") ? numbers.map((one, at) => (at < 3 ? one * 255 : one)) : numbers;
  };
  const light = (colour) => {
    const [r, g, b] = colour.slice(0, 3).map((one) => one / 255)
      .map((one) => (one <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    for (let one = element; one; one = one.parentElement) {
      const colour = rgb(getComputedStyle(one).backgroundColor);
      if (colour.length < 4 || colour[3] > 0) return colour;
    }
    return [255, 255, 255];
  };
  const faint = new Set();
  for (const element of document.body.querySelectorAll("*")) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    if (!own || element.closest("svg, script, .skip") || !element.checkVisibility()) continue;
    const [a, b] = [light(rgb(getComputedStyle(element).color)), light(behind(element))];
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (contrast < 4.5) faint.add(`${element.tagName} ${element.className} ${contrast.toFixed(2)}`);
  }
  return [...faint];
})()
"""


def test_a_filter_leaves_the_rows_that_have_every_word(chromium, full_report):
    chromium.open(full_report.path)
    chromium.run("document.querySelector('#layers input').focus()")
    chromium.type("stage2 DEPTHWISE")
    shown = chromium.run(
        "[...document.querySelectorAll('#layers tbody tr')].filter((r) => !r.hidden).map((r) => r.textContent)"
    )
    every = chromium.run("[...document.querySelectorAll('#layers tbody tr')].map((r) => r.textContent)")
    wanted = [row for row in every if "stage2" in row and "DEPTHWISE" in row]
    assert shown == wanted
    assert 0 < len(wanted) < len(every)
    assert chromium.run("document.querySelector('#layers output').textContent") == f"{len(shown)} of {len(every)}"


def test_differences_have_room_on_a_telephone(chromium, compared):
    chromium.open(compared.path, width=360)
    edges = "[...document.querySelectorAll('#differences-table td')].map((cell) => cell.getBoundingClientRect().right)"
    assert max(chromium.run(edges)) <= 360
    chromium.run("document.querySelector('#differences input').focus()")
    chromium.type("arena")
    rows = "[...document.querySelectorAll('#differences-table tbody tr')].filter((row) => row.checkVisibility())"
    assert chromium.run(f"{rows}.map((row) => row.cells[0].textContent)") == ["arena"]


def test_a_head_sorts_its_column_both_ways(chromium, full_report):
    chromium.open(full_report.path)
    macs = "[...document.querySelectorAll('#layers tbody tr')].map((r) => Number(r.cells[4].dataset.value))"
    before = chromium.run(macs)
    click = "document.querySelectorAll('#layers thead button')[4].click()"
    chromium.run(click)
    assert chromium.run(macs) == sorted(before, reverse=True)
    assert chromium.run("document.querySelectorAll('#layers thead th')[4].ariaSort") == "descending"
    chromium.run(click)
    assert chromium.run(macs) == sorted(before)


@pytest.mark.parametrize(("section", "part"), [("memory", ".block"), ("embedding", ".dot")])
def test_the_keyboard_goes_from_part_to_part(chromium, full_report, section, part):
    chromium.open(full_report.path)
    parts = f"[...document.querySelectorAll('#{section} {part}')]"
    names = chromium.run(f"{parts}.map((one) => one.getAttribute('aria-label'))")
    # The Tab key comes by the picture once, whatever it has been through before.
    chromium.run(
        f"document.querySelector('#{section} figure').insertAdjacentHTML('beforebegin', '<button id=before></button>')"
    )
    chromium.run("document.getElementById('before').focus()")
    told = f"document.querySelector('#{section} .readout').textContent"
    at = f"{parts}.indexOf(document.activeElement)"
    chromium.press("Tab")
    assert chromium.run(at) == 0
    for key, index in (("ArrowRight", 1), ("ArrowDown", 2), ("ArrowLeft", 1), ("End", len(names) - 1), ("Home", 0)):
        chromium.press(key)
        assert chromium.run(at) == index
        assert chromium.run(told).replace(" ", "").strip().endswith(names[index].split(": ")[-1].replace(" ", ""))
    chromium.press("Tab")
    assert chromium.run(at) == -1


def test_a_class_can_be_left_out_of_the_map(chromium, full_report):
    chromium.open(full_report.path)
    shown = "[...document.querySelectorAll('.plane [data-class=\"3\"]')].filter((one) => one.checkVisibility()).length"
    before = chromium.run(shown)
    chromium.run("document.querySelector('.legend button[data-class=\"3\"]').click()")
    assert before > 0
    assert chromium.run(shown) == 0
    chromium.run("document.querySelector('.legend button[data-class=\"3\"]').click()")
    assert chromium.run(shown) == before


def test_it_says_the_same_without_its_script(chromium, full_report, tmp_path):
    html = full_report.path.read_text(encoding="utf-8")
    page = tmp_path / "quiet.html"
    page.write_text(re.sub(r"<script>.*?</script>", "", html, flags=re.DOTALL))
    chromium.open(full_report.path)
    said = chromium.run("document.querySelector('main').textContent.replace(/\\s+/g, '')")
    chromium.open(page)
    assert chromium.run("document.querySelector('main').textContent.replace(/\\s+/g, '')") == said


def test_it_prints_everything(chromium, full_report):
    chromium.open(full_report.path)
    document = chromium.pdf()
    assert document.startswith(b"%PDF-")
    assert chromium.run("[...document.querySelectorAll('details')].every((one) => one.open)")
    pages = document.count(b"/Type /Page\n")
    assert 5 <= pages <= 30


def test_print_to_pdf_of_the_command_line_works(full_report, tmp_path):
    program = find_chromium()
    if program is None:
        pytest.skip("no Chromium is installed: apt-get install chromium")
    document = tmp_path / "report.pdf"
    command = [program, "--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
    subprocess.run(
        [*command, f"--print-to-pdf={document}", full_report.path.as_uri()],
        check=True,
        capture_output=True,
        timeout=300,
    )
    assert document.read_bytes().startswith(b"%PDF-")
    assert document.stat().st_size > 50_000
