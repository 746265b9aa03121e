#!/usr/bin/env python3
"""Opens a report page in headless Chromium: light, dark and at a phone's width. Fails on a message in the console, on anything
loaded from elsewhere, on a figure without ink, and on a page that is wider than the screen.

usage: check_report.py REPORT.html [FOLDER for light.png, dark.png, phone.png]     without Chromium: says so, exit 0
"""
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

VIEWS = {"light": (1, 1200, 2600), "dark": (0, 1200, 2600), "phone": (1, 390, 3600)}
LEAST_WINDOW = 500  # of Chromium's; a narrower page is shown in a frame
FRAME = """<!doctype html><title>frame</title><body style="margin:0"><iframe src="{src}" style="border:0;width:{width}px;height:{height}px"></iframe>
<script>addEventListener('message', e => {{ document.title = e.data; }});</script>"""
# Asked of the page after it was drawn; the answer is the title of the window, which --dump-dom prints.
PROBE = """<script>
addEventListener('load', () => {
  const figures = [...document.querySelectorAll('svg')].filter(s => !s.closest('details:not([open])'));
  const drawn = s => [...s.querySelectorAll('rect,path,line')].some(e => { const b = e.getBBox(); return b.width > 0 || b.height > 0; });
  const answer = 'probe ' + JSON.stringify({
    figures: figures.length, empty: figures.filter(s => !drawn(s)).length,
    bars: document.querySelectorAll('.bar i').length,
    cut: [...document.querySelectorAll('table,.bar')].filter(e => e.scrollWidth > e.clientWidth + 1 ||
         e.getBoundingClientRect().right > e.parentElement.getBoundingClientRect().right + 1).length,
    unseen: figures.filter(s => s.getBoundingClientRect().width < 100).length,
    wide: document.documentElement.scrollWidth - innerWidth, width: innerWidth,
    rows: document.querySelectorAll('tbody tr').length,
    ground: getComputedStyle(document.body).backgroundColor, ink: getComputedStyle(document.body).color,
    loaded: performance.getEntriesByType('resource').map(e => e.name) });
  if (parent === window) document.title = answer; else parent.postMessage(answer, '*');
});
</script>"""


def chromium(binary, work, scheme, width, height, page, *arguments):
    command = [binary, "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--user-data-dir={work}/profile",
               f"--blink-settings=preferredColorScheme={scheme}", f"--window-size={width},{height}", "--enable-logging=stderr",
               *arguments, "file://" + os.path.abspath(page)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)


def window(work, page, width, height):
    """The page itself, or one that shows it in a frame as narrow as asked for."""
    if width >= LEAST_WINDOW:
        return page
    framed = os.path.join(work, f"frame_{os.path.basename(page)}")
    with open(framed, "w", encoding="utf-8") as file:
        file.write(FRAME.format(src="file://" + os.path.abspath(page), width=width, height=height))
    return framed


def luminance(colour):
    return sum(int(part) for part in re.findall(r"\d+", colour)[:3])


def check(binary, page, folder):
    problems = []
    if folder:
        os.makedirs(folder, exist_ok=True)
    with open(page, encoding="utf-8") as file:
        text = file.read()
    with tempfile.TemporaryDirectory() as work:
        probed = os.path.join(work, "probed.html")
        with open(probed, "w", encoding="utf-8") as file:
            file.write(text.replace("</body>", PROBE + "</body>"))
        for name, (scheme, width, height) in VIEWS.items():
            shot = os.path.join(folder or work, name + ".png")
            drawn = chromium(binary, work, scheme, width, height, window(work, page, width, height), f"--screenshot={shot}")
            problems += [f"{name}: {line}" for line in drawn.stderr.splitlines() if "CONSOLE" in line]
            if not os.path.exists(shot) or os.path.getsize(shot) < 10000:
                problems.append(f"{name}: no picture was drawn")
            asked = chromium(binary, work, scheme, width, height, window(work, probed, width, height), "--dump-dom")
            found = re.search(r"<title>probe (\{.*?\})</title>", asked.stdout)
            if not found:
                problems.append(f"{name}: the page did not load")
                continue
            seen = json.loads(found.group(1).replace("&quot;", '"').replace("&amp;", "&"))
            for what, wrong in (("no figure", seen["figures"] == 0), ("no table row", seen["rows"] == 0),
                                (f"{seen['empty']} empty figures", seen["empty"] > 0), (f"{seen['unseen']} figures too narrow", seen["unseen"] > 0),
                                ("no bar", seen["bars"] == 0), (f"{seen['cut']} tables or bars cut off at the right", seen["cut"] > 0),
                                (f"wider than the screen by {seen['wide']} pixels", seen["wide"] > 0),
                                (f"loads {seen['loaded']}", bool(seen["loaded"])),
                                ("dark ink on dark ground or light on light", abs(luminance(seen["ground"]) - luminance(seen["ink"])) < 300),
                                ("the ground does not follow the setting", (luminance(seen["ground"]) < 300) != (scheme == 0))):
                if wrong:
                    problems.append(f"{name}: {what}")
            print(f"check_report: {name}, {seen['width']} pixels: {seen['figures']} figures, {seen['rows']} rows")
    return problems


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    binary = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not binary:
        print("check_report: no Chromium here (Debian: chromium)")
        return
    problems = check(binary, sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else None)
    for problem in problems:
        print("check_report: " + problem)
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
