"""The pages taken apart: fenced blocks with what is said about them, code in the text, links, anchors.

What is said about a block is a comment right before it, which readers of the page do not see:

    <!-- docs: not run, because it takes half an hour -->    its commands only have to parse
    <!-- docs: long, because it takes a minute -->           run with `make docs-test DOCS_TEST_ARGS=--all-blocks`
    <!-- docs: file engine.toml -->                          written under this name for the blocks that follow
    <!-- docs: exits 1, because the journal is damaged -->   of the block's last command
    <!-- docs: shows -->                                     a text block: what the block before printed, numbers aside
    <!-- docs: with engine -->                               Python: `engine` trades in a lab (with_engine.py)

    <!-- docs: do
    turbo-hft lab up
    -->                                                      commands that are run here and not shown;
                                                             `do long` where what follows is long;
                                                             `trading` waits until an engine does
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).resolve().parents[2]
PAGES = ("README.md", "deploy/README.md", *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")))

_COMMENT = re.compile(r"<!--\s*docs:\s*(.*?)\s*-->", re.DOTALL)
_REASONED = ("not run", "long", "exits")


class PageError(Exception):
    """A comment that is not understood."""


@dataclass(frozen=True, slots=True)
class Said:
    """One comment: `verb`, what follows it, and the reason after `because`."""

    verb: str
    value: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block, or hidden commands (language ``do``). `line`: of its first fence, from 1 on."""

    page: str
    line: int
    language: str
    text: str
    said: tuple[Said, ...] = ()

    @property
    def place(self) -> str:
        """For messages."""
        return f"{self.page}:{self.line}"

    def find(self, verb: str) -> Said | None:
        """What was said with that word."""
        return next((one for one in self.said if one.verb == verb), None)


@dataclass(slots=True)
class Page:
    """`code`: (line, code span). `links`: (line, target). `anchors`: of its headings, as GitHub makes them."""

    name: str
    blocks: list[Block] = field(default_factory=list)
    code: list[tuple[int, str]] = field(default_factory=list)
    links: list[tuple[int, str]] = field(default_factory=list)
    anchors: set[str] = field(default_factory=set)


@cache
def page(name: str) -> Page:
    """Taken apart. Raises PageError."""
    return take_apart(name, (ROOT / name).read_text(encoding="utf-8"))


def take_apart(name: str, text: str) -> Page:
    """The same of a text. Raises PageError."""
    found = Page(name)
    said: list[Said] = []
    tokens = MarkdownIt("gfm-like", {"linkify": False}).parse(text)
    for at, token in enumerate(tokens):
        line = (token.map or [0])[0] + 1
        if token.type == "html_block":
            for comment in _COMMENT.finditer(token.content):
                one = parse(f"{name}:{line}", comment[1])
                if one.verb == "do":
                    found.blocks.append(Block(name, line, "do", one.value, (one,)))
                elif one.verb == "do long":
                    found.blocks.append(Block(name, line, "do", one.value, (Said("long"),)))
                else:
                    said.append(one)
            continue
        if token.type == "fence":
            found.blocks.append(Block(name, line, token.info.strip(), token.content, tuple(said)))
        elif said and token.level == 0:
            raise PageError(f"{name}:{line}: the comment before this ({said[0].verb}) is about no block")
        said = said if token.level else []
        if token.type == "heading_open":
            found.anchors.add(_anchor(tokens[at + 1], found.anchors))
        for child in _inside(token):
            if child.type == "code_inline":
                found.code.append((line, child.content))
            elif child.type == "link_open":
                found.links.append((line, str(child.attrs["href"])))
            elif child.type == "image":
                found.links.append((line, str(child.attrs["src"])))
    if said:
        raise PageError(f"{name}: the last comment ({said[0].verb}) is about no block")
    return found


def parse(place: str, text: str) -> Said:
    """A comment's words. Raises PageError."""
    verb, _, commands = text.partition("\n")
    if verb in ("do", "do long"):
        return Said(verb, commands)
    words, _, reason = text.partition(", because ")
    for verb in ("not run", "long", "file", "exits", "shows", "with"):
        if words == verb or words.startswith(f"{verb} "):
            if verb in _REASONED and not reason.strip():
                raise PageError(f"{place}: `{verb}` needs a reason: write ', because ...'")
            return Said(verb, words[len(verb) :].strip(), reason.strip())
    raise PageError(f"{place}: {text!r} is not understood; see {Path(__file__).name}")


def _inside(token: Token) -> Iterator[Token]:
    for child in token.children or ():
        yield child
        yield from _inside(child)


def _anchor(heading: Token, taken: set[str]) -> str:
    words = "".join(child.content for child in _inside(heading) if child.type in ("text", "code_inline"))
    made = "".join(c for c in words.lower().replace(" ", "-") if c.isalnum() or c in "-_")
    number, name = 0, made
    while name in taken:
        number += 1
        name = f"{made}-{number}"
    return name
