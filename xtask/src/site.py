"""Finds links on the pages of the built site that lead nowhere on it. Rustdoc checks its own pages, in `api`.

    site.py BOOK
"""

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit


class Page(HTMLParser):
    def __init__(self, path):
        super().__init__()
        self.links, self.anchors = [], {""}
        self.feed(path.read_text())

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.anchors.update(attributes[key] for key in ("id", "name") if attributes.get(key))
        self.links.extend(attributes[key] for key in ("href", "src") if attributes.get(key))


def main(book):
    pages, checked, failures = {}, 0, 0

    def leads_somewhere(path, link):
        target = path.parent / unquote(link.path) if link.path else path
        target = target / "index.html" if target.is_dir() else target
        if not target.is_file():
            return False
        if target.suffix != ".html":
            return True
        target = target.resolve()
        if target not in pages:
            pages[target] = Page(target)
        return unquote(link.fragment) in pages[target].anchors

    # 404.html is shown at any address, so its links begin at the root.
    for path in sorted(set(book.rglob("*.html")) - set((book / "api").rglob("*")) - {book / "404.html"}):
        for text in Page(path).links:
            link = urlsplit(text)
            if link.scheme or link.netloc:
                continue
            checked += 1
            if not leads_somewhere(path, link):
                print(f"{path.relative_to(book)}: {text} leads nowhere", file=sys.stderr)
                failures += 1
    print(f"{checked} links of the site checked, {failures} failures")
    return 1 if failures else 0


sys.exit(main(Path(sys.argv[1])))
