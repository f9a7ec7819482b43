"""Check a built site: ``python docs/tools/check_site.py docs/_build``.

No internal link or picture may be dead, and every public name must have an entry in the reference.
Prints numbers of pages, links, executed examples and public names; after a fault the exit code
is 1.
"""

from __future__ import annotations

import sys
import zlib
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

from api_pages import entries

GENERATED = ("genindex", "py-modindex", "search")


class Page(HTMLParser):
    """Links and anchors of one page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.feed(path.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what the tag leads to and what leads to it."""
        for name, value in attrs:
            if value and name in ("href", "src") and tag in ("a", "img", "link", "script"):
                self.links.append(value)
            if value and name in ("id", "name"):
                self.anchors.add(value)


def dead_links(site: Path) -> tuple[list[str], int, int]:
    """Internal links that lead nowhere, the number of pages and of links."""
    pages = {path.resolve(): Page(path) for path in sorted(site.rglob("*.html"))}
    dead, count = [], 0
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            count += 1
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            anchor = unquote(parts.fragment)
            missing = anchor and target in pages and anchor not in pages[target].anchors
            if not target.exists() or missing:
                dead.append(f"{path.relative_to(site.resolve())}: {link}")
    return dead, len([p for p in pages if p.stem not in GENERATED]), count


def inventory(site: Path) -> set[str]:
    """Names of Python objects that the reference describes."""
    data = (site / "objects.inv").read_bytes().split(b"\n", 4)[4]
    lines = zlib.decompress(data).decode().splitlines()
    return {line.split()[0] for line in lines if " py:" in line}


def main(site: Path) -> int:
    """Print what there is and what is wrong."""
    dead, pages, links = dead_links(site)
    names = {f"{entry.home}.{entry.name}" for entry in entries() if entry.package == entry.home}
    missing = sorted(names - inventory(site))
    for fault in [f"dead link: {link}" for link in dead] + [f"not described: {n}" for n in missing]:
        sys.stderr.write(f"{fault}\n")
    examples = len(list((site / "auto_gallery").glob("plot_*.html")))
    sys.stdout.write(
        f"{pages} pages, {links} internal links, {examples} examples, {len(names)} public names\n"
    )
    return 1 if dead or missing else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
