"""A page as a tree, by the standard library's parser, for what tests ask of it."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = {"meta", "link", "input", "br", "img"}


@dataclass
class Element:
    """An element of a page."""

    tag: str
    attributes: dict[str, str]
    content: list["Element | str"] = field(default_factory=list)

    @property
    def children(self) -> list["Element"]:
        """The elements in it."""
        return [one for one in self.content if isinstance(one, Element)]

    @property
    def text(self) -> str:
        """All text in it, blanks joined."""
        return " ".join("".join(self._texts()).split())

    def _texts(self) -> Iterator[str]:
        for one in self.content:
            if isinstance(one, Element):
                yield from one._texts()
            else:
                yield one

    def all(self, tag: str, **attributes: str) -> list["Element"]:
        """All elements of a tag in it that have some attributes; `cls` is a class among others."""
        wanted = attributes.pop("cls", None)
        return [
            one
            for one in self.walk()
            if one.tag == tag
            and (wanted is None or wanted in one.attributes.get("class", "").split())
            and all(one.attributes.get(name) == value for name, value in attributes.items())
        ]

    def walk(self) -> Iterator["Element"]:
        """All elements in it, itself first."""
        yield self
        for child in self.children:
            yield from child.walk()

    def section(self, name: str) -> "Element":
        """The section of that anchor."""
        (found,) = self.all("section", id=name)
        return found

    def rows(self) -> list[list[str]]:
        """The cells of all rows of tables' bodies in it."""
        return [
            [cell.text for cell in row.children if cell.tag in ("td", "th")]
            for body in self.all("tbody")
            for row in body.all("tr")
        ]


class _Builder(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.root = Element("root", {})
        self.open = [self.root]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs})
        self.open[-1].content.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open[-1].content.append(Element(tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        if tag in VOID:
            return
        assert self.open[-1].tag == tag, f"</{tag}> closes <{self.open[-1].tag}>"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        self.open[-1].content.append(data)


def parse(html: str) -> Element:
    """Return a page as a tree; every element that is opened has to be closed in its order."""
    builder = _Builder()
    builder.feed(html)
    builder.close()
    assert builder.open == [builder.root], [one.tag for one in builder.open]
    return builder.root
