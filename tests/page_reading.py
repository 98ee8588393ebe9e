"""What a browser would see of a page."""

from __future__ import annotations

import re
from html.parser import HTMLParser

#: Text that breaks pages, figures and styles which do not escape it.
HOSTILE = """<script>alert("x")</script> & 'it' cost $5 or $6 --> </style>"""


class Reader(HTMLParser):
    """Collects what a browser would see of a page: tags with attributes, and text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag, attrs) -> None:
        self.tags.append((tag, dict(attrs)))
        self.open.append(tag)

    def handle_startendtag(self, tag, attrs) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag) -> None:
        while self.open and self.open.pop() != tag:
            pass

    def handle_data(self, data) -> None:
        if not {"script", "style"} & set(self.open[-1:]):
            self.words.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def assert_alone(page: str, read: Reader) -> None:
    """The page asks the network for nothing, and is told so."""
    for tag, attributes in read.tags:
        for name in ("src", "href", "xlink:href", "srcset", "action", "poster", "data"):
            value = attributes.get(name)
            assert value is None or value.startswith(("data:", "#")), (tag, name, value[:80])
    styles = re.findall(r"<style.*?</style>", page, flags=re.S)
    assert len(styles) == 1 and "url(" not in styles[0] and "@import" not in styles[0]
    assert all(target.startswith("#") for target in re.findall(r"url\(([^)]*)\)", page))
    assert [meta for meta in read.all("meta") if "default-src 'none'" in str(meta.get("content"))]


def assert_escaped(page: str, read: Reader) -> None:
    """``HOSTILE`` is text on the page and nothing else."""
    assert len(read.all("script")) == 1 and "alert(" not in page.split("<script>")[1]
    assert not [name for _, attributes in read.tags for name in attributes if name.startswith("on")]
    assert HOSTILE in read.words


def assert_links_lead_somewhere(page: str, read: Reader) -> None:
    """Ids are unique, and what points within the page finds one."""
    ids = [attributes["id"] for _, attributes in read.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    wanted = [
        value[1:] for _, a in read.tags for n in ("href", "xlink:href") if (value := a.get(n) or "").startswith("#")
    ]
    wanted += re.findall(r"url\(#([^)]*)\)", page)
    assert set(wanted) <= set(ids)
