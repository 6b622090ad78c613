"""Does the built site work in a browser? `python tools/site/browse.py SITE [SCREENSHOTS]`, in a headless Chromium.

Search finds, the switch makes it dark, no page is wider than a phone, and nothing is asked of another host.
"""

import re
import shutil
import sys
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

from playwright.sync_api import Page, sync_playwright

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome") or shutil.which("chromium-browser")
PHONE, DESKTOP = {"width": 390, "height": 844}, {"width": 1280, "height": 900}
WORD, FOUND_IN = "fingerprint", "reference/"
PATIENCE_MS = 120_000
"""A machine that does other work beside it is no fault of the site."""
PICTURES = ("index.html", "concept.html", "tables/table2.html", "reference/delta_core.html")


class Quiet(SimpleHTTPRequestHandler):
    """Serves files and says nothing of it."""

    def log_message(self, *_: object) -> None:
        """Nothing."""


def search_fault(page: Page, home: str) -> str | None:
    """Type a word into the search; the first hits must lead to pages that have it."""
    page.goto(home)
    page.locator("input.md-search__input").click()
    page.keyboard.type(WORD)
    hits = page.locator(".md-search-result__item > a")
    hits.first.wait_for()
    targets = [hits.nth(place).get_attribute("href") or "" for place in range(hits.count())]
    if not any(FOUND_IN in target for target in targets):
        return f"search for {WORD!r} finds no page of {FOUND_IN}: {targets}"
    hits.first.click()
    page.wait_for_url(lambda url: url != home)
    page.wait_for_load_state()
    return None if WORD in page.content().lower() else f"search for {WORD!r} leads to {page.url}, which lacks it"


def dark_fault(page: Page, home: str) -> str | None:
    """Click the switch; the background must get darker."""

    def lightness() -> int:
        colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
        return sum(map(int, re.findall(r"\d+", colour)[:3]))

    page.goto(home)
    before = lightness()
    page.locator("label[for^=__palette]:visible").click()
    page.wait_for_function("document.body.dataset.mdColorScheme === 'slate'")
    return None if lightness() < before / 2 else f"dark is as light as light: {before}, then {lightness()}"


def wide_pages(page: Page, home: str, paths: list[str]) -> Iterator[str]:
    """Pages that scroll sideways on a phone; tables and code may scroll within them."""
    page.set_viewport_size(PHONE)
    for path in paths:
        page.goto(home + path)
        width = page.evaluate("document.documentElement.scrollWidth")
        if width > PHONE["width"]:
            yield f"{path} is {width} px wide on a phone of {PHONE['width']} px"


def foreign(url: str, home: str) -> list[str]:
    """What is asked of another host."""
    return [] if url.startswith((home, "data:", "blob:")) else [f"asks for {url}"]


def take_pictures(page: Page, home: str, folder: Path) -> None:
    """Some pages on a desktop, light and dark, and on a phone."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, size, scheme in (("desktop", DESKTOP, "light"), ("dark", DESKTOP, "dark"), ("phone", PHONE, "light")):
        page.set_viewport_size(size)
        page.emulate_media(color_scheme=scheme)
        for path in PICTURES:
            page.goto(home + path)
            page.evaluate("localStorage.clear()")
            page.reload()
            page.screenshot(path=folder / f"{path.removesuffix('.html').replace('/', '-')}-{name}.png")


def main() -> int:
    """Print every fault, and at the end what was looked at."""
    site = Path(sys.argv[1])
    if CHROMIUM is None:
        print("No Chromium on the PATH (Debian: apt-get install chromium): the site was not opened in a browser.")
        return 0
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(site)))
    Thread(target=server.serve_forever, daemon=True).start()
    home = f"http://127.0.0.1:{server.server_port}/"
    paths = [file.relative_to(site).as_posix() for file in sorted(site.rglob("*.html"))]
    faults: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport=DESKTOP, color_scheme="light")
        page.set_default_timeout(PATIENCE_MS)
        page.on("pageerror", lambda error: faults.append(f"{page.url}: {error}"))
        page.on("console", lambda said: faults.append(f"{page.url}: {said.text}") if said.type == "error" else None)
        page.on("request", lambda asked: faults.extend(foreign(asked.url, home)))
        faults += filter(None, [search_fault(page, f"{home}index.html"), dark_fault(page, f"{home}index.html")])
        faults += wide_pages(page, home, paths)
        if len(sys.argv) > 2:
            take_pictures(page, home, Path(sys.argv[2]))
        browser.close()
    print(*faults, sep="\n")
    print(f"Chromium: search, dark, and {len(paths)} pages at {PHONE['width']} px; {len(faults)} faults")
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
