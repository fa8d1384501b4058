"""What the pages say beside the blocks that are run: links, anchors, commands in sentences, blocks that are not run."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import turbo_hft.doctor
from docs.commands import CommandWrong, check_mentioned, check_shell, is_command
from docs.pages import PAGES, ROOT, PageError, page, parse, take_apart
from turbo_hft import privileges

LANGUAGES = ("sh", "do", "python", "toml", "c", "text")


@pytest.mark.parametrize("name", PAGES)
def test_every_link_leads_somewhere(name: str) -> None:
    wrong = []
    for line, target in page(name).links:
        parts = urlsplit(target)
        if parts.scheme:
            continue
        file = (ROOT / name).parent / parts.path if parts.path else ROOT / name
        if not file.resolve().exists():
            wrong.append(f"{name}:{line}: there is no {parts.path}")
        elif parts.fragment and parts.fragment not in page(str(file.resolve().relative_to(ROOT))).anchors:
            wrong.append(f"{name}:{line}: {parts.path or name} has no heading for #{parts.fragment}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("name", PAGES)
def test_every_block_says_what_it_is(name: str) -> None:
    for block in page(name).blocks:
        assert block.language in LANGUAGES, f"{block.place}: write one of {', '.join(LANGUAGES)} behind the fence"


@pytest.mark.parametrize("name", PAGES)
def test_commands_in_sentences_exist(name: str) -> None:
    wrong = []
    for line, text in page(name).code:
        if is_command(text):
            try:
                check_mentioned(text)
            except CommandWrong as error:
                wrong.append(f"{name}:{line}: {error}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("name", PAGES)
def test_blocks_that_are_not_run_could_be(name: str) -> None:
    for block in page(name).blocks:
        said = block.find("not run")
        if said is not None and block.language == "sh":
            try:
                looked_at = check_shell(block.text)
            except CommandWrong as error:
                pytest.fail(f"{block.place}: {error}")
            print(f"{block.place}: not run, because {said.reason}", *looked_at, sep="\n    ")
            assert looked_at, f"{block.place}: there is no command in it"


def test_examples_in_the_help_can_be_given() -> None:
    for block in page("docs/cli.md").blocks:
        for line in block.text.splitlines():
            if re.match(r" +turbo-hft ", line):
                check_shell(line.split("   ")[0] if not line.startswith("   ") else line.strip().split("   ")[0])


def test_every_page_is_in_the_index() -> None:
    listed = {(ROOT / "docs" / target).resolve() for _, target in page("docs/index.md").links}
    assert listed >= {ROOT / name for name in PAGES if name not in ("README.md", "docs/index.md")}


def test_every_finding_of_doctor_is_explained() -> None:
    found = set((*privileges.TO_LOAD, *privileges.TO_SEND))
    for path in Path(turbo_hft.doctor.__file__).parent.glob("*.py"):
        found |= set(re.findall(r'\b(?:ok|warn|bad)\(\s*"([^"]+)"', path.read_text(encoding="utf-8")))
    table = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8").partition("## What doctor says")[2]
    rows = {name for cell in re.findall(r"^\| ([^|]+) \|", table, re.MULTILINE) for name in cell.split(", ")}
    assert found <= rows, f"docs/operations.md does not explain {', '.join(sorted(found - rows))}"
    assert len(found) > 20


@pytest.mark.parametrize(
    "text",
    ["`turbo-hft nonsense`", "`turbo-hft halt --nonsense`", "`make nonsense`", "`turbo-hft journal verify --nonsense`"],
)
def test_a_command_that_is_none_is_found(text: str) -> None:
    (span,) = take_apart("x", text).code
    with pytest.raises(CommandWrong):
        check_mentioned(span[1])


@pytest.mark.parametrize(
    "text", ["turbo-hft halt --nonsense", "make nonsense", "if then", "sleep 1 && turbo-hft config check"]
)
def test_a_block_that_could_not_be_run_is_found(text: str) -> None:
    with pytest.raises(CommandWrong):
        check_shell(text)


@pytest.mark.parametrize("text", ["not run", "long, because ", "nonsense", "exits 1"])
def test_a_comment_without_sense_or_reason_is_refused(text: str) -> None:
    with pytest.raises(PageError):
        parse("here", text)


@pytest.mark.parametrize("text", ["<!-- docs: file x -->\n\ntext\n", "<!-- docs: file x -->\n"])
def test_a_comment_about_no_block_is_refused(text: str) -> None:
    with pytest.raises(PageError):
        take_apart("x", text)


def test_anchors_are_those_of_github() -> None:
    found = take_apart("x", "# 6 Risk: the one gate\n\n## `turbo-hft run`\n\n## A, b's\n\n## A, b's\n").anchors
    assert found == {"6-risk-the-one-gate", "turbo-hft-run", "a-bs", "a-bs-1"}
