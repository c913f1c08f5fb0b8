"""A headless Chromium that opens a page and says what a script in it found."""

import json
import re
import shutil
import subprocess
import tempfile

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
QUIET = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
)  # fmt: skip
COLLECT = """<script>{
window.found = {errors: []};
window.addEventListener("error", e => window.found.errors.push(String(e.message)), true);
const say = console.error;
console.error = (...a) => { window.found.errors.push(a.join(" ")); say(...a); };
}</script>"""
REPORT = """<script>
window.addEventListener("load", async () => {
  const found = window.found;
  try { %s } catch (e) { found.errors.push(String(e)); }
  document.title = "RESULT" + encodeURIComponent(JSON.stringify(found)) + "END";
});
</script>"""


def look(page, script, width=1280, height=900, budget=8000):
    """Open an HTML file and run a script that fills `found`; return it, with `errors`."""
    if CHROMIUM is None:
        pytest.skip("chromium is not installed")
    text = page.read_text(encoding="utf-8")
    text = text.replace("<head>", "<head>" + COLLECT, 1).replace(
        "</body>", REPORT % script + "</body>"
    )
    copy = page.with_name(f"looked_at_{page.name}")
    copy.write_text(text, encoding="utf-8")
    with tempfile.TemporaryDirectory() as profile:
        place, size = f"--user-data-dir={profile}", f"--window-size={width},{height}"
        command = [CHROMIUM, *QUIET, place, size, f"--virtual-time-budget={budget}", "--dump-dom",
                   copy.as_uri()]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    result = re.search(r"RESULT(.*?)END", done.stdout, re.S)
    assert result, done.stderr[-500:]
    from urllib.parse import unquote

    return json.loads(unquote(result.group(1)))
