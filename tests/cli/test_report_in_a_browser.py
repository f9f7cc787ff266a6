"""The report in headless Chromium: all pictures are drawn, nothing is asked for from elsewhere, no width overflows."""

import json
import re
import shutil
import subprocess

import numpy as np
import pytest

pytest.importorskip("click")
pytest.importorskip("lightning_fabric")
pytest.importorskip("matplotlib")

from command_runs import ramps, run

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
if CHROMIUM is None:
    pytest.skip("no Chromium on this machine", allow_module_level=True)

QUIETLY = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
)
QUIETLY += ("--disable-sync", "--disable-quic", "--no-first-run", "--hide-scrollbars")
ASKS = """<script>
window.onload = () => Promise.all([...document.images].map(image => image.decode())).then(() => {
  const root = document.documentElement, boxes = [...document.querySelectorAll("figure, table, p, li, h1, h2")];
  const found = {
    pictures: [...document.images].map(image => image.naturalWidth),
    asked: performance.getEntriesByType("resource").map(entry => entry.name).filter(name => !name.startsWith("data:")),
    width: root.clientWidth,
    widest: Math.max(root.scrollWidth, ...boxes.map(box => box.getBoundingClientRect().right)),
    text: document.body.innerText,
  };
  document.body.innerHTML = "<pre id=found></pre>";
  document.getElementById("found").textContent = JSON.stringify(found);
});
</script>"""
"""What the page is asked once it is laid out, in the place of which the answer stands then."""


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """Reports of a table whose columns have long names and of images, by name."""
    folder = tmp_path_factory.mktemp("reports")
    x = np.random.default_rng(0).normal(size=(80, 2)) @ np.random.default_rng(1).normal(size=(2, 5))
    names = [f"a long name of the column number {number} in centimetres" for number in range(5)]
    np.savetxt(folder / "table.csv", x, delimiter=",", header=",".join(names), comments="")
    made = {}
    for data, options in ((folder / "table.csv", []), (ramps(folder / "images"), ["--grey"])):
        out = folder / f"{data.stem}-run"
        assert run("fit", data, *options, "--out", out, "--steps", 5)[2] == 0
        assert run("report", out)[2] == 0
        made[data.stem] = out / "report.html"
    return made


def in_browser(page, width, folder):
    """What Chromium says of the page in a window so wide, in pixels."""
    asking = folder / "page.html"
    asking.write_text(page.read_text(encoding="utf-8").replace("</body>", f"{ASKS}</body>"), encoding="utf-8")
    command = [CHROMIUM, *QUIETLY, f"--user-data-dir={folder / 'profile'}", f"--window-size={width},1000"]
    command += ["--virtual-time-budget=20000", "--dump-dom", asking.as_uri()]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    answer = re.search(r'<pre id="found">(.*?)</pre>', shown, flags=re.DOTALL)[1]
    for mark, meant in (("&lt;", "<"), ("&gt;", ">"), ("&nbsp;", " "), ("&amp;", "&")):
        answer = answer.replace(mark, meant)
    return json.loads(answer)


@pytest.mark.parametrize("width", [1200, 500])
@pytest.mark.parametrize("name", ["table", "images"])
def test_a_report_is_whole_in_a_browser_and_fits_its_window(pages, name, width, tmp_path):
    found = in_browser(pages[name], width, tmp_path)
    assert found["width"] == width
    assert len(found["pictures"]) >= 5
    assert min(found["pictures"]) > 100
    assert found["asked"] == []
    assert found["widest"] <= width
    assert "What to distrust" in found["text"]
    assert re.search(r"dimension \d+", found["text"])
