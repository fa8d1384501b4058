"""README.md and docs/*.md do what they say: every block is run, in order, each page in a sandbox of its own."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from tempfile import mkdtemp

import pytest
from docs.pages import PAGES, Block, Said, page
from docs.sandbox import BlockFailed, alike, run_page

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

AT_A_TIME = 2
WITH_BLOCKS = [name for name in PAGES if any(not block.find("not run") for block in page(name).blocks)]


@pytest.fixture(scope="module")
def running(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Future[list[tuple[str, float]]]]]:
    """Those pages that are tested now, two at a time, the longest first."""
    long = bool(request.config.getoption("--all-blocks"))
    wanted = {name for name in WITH_BLOCKS if any(item.name.endswith(f"[{name}]") for item in request.session.items)}
    names = sorted(wanted, key=lambda name: -len(page(name).blocks))
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        yield {
            name: pool.submit(run_page, name, page(name).blocks, tmp_path_factory.mktemp("page"), long=long)
            for name in names
        }
        pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize("name", WITH_BLOCKS)
def test_a_page_does_what_it_says(name: str, running: dict[str, Future[list[tuple[str, float]]]]) -> None:
    try:
        for place, seconds in running[name].result():
            print(f"{place}: {seconds:.1f} s")
    except BlockFailed as failed:
        pytest.fail(str(failed), pytrace=False)


def _run(tmp_path: Path, *blocks: Block) -> int:
    return len(run_page("x", blocks, Path(mkdtemp(dir=tmp_path)), long=False))


def _sh(text: str, *said: Said) -> Block:
    return Block("x", 1, "sh", text, said)


def test_a_block_that_fails_is_named(tmp_path: Path) -> None:
    with pytest.raises(BlockFailed, match=r"x:1: exit code 1\nfalse"):
        _run(tmp_path, _sh("true\n"), _sh("false\necho after\n"))


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("toml", "nonsense = 1\n"),
        ("c", "#include <hft/strategy_api.h>\nint hft_user_strategy(void) { return 0; }\n"),
        ("python", "raise ValueError\n"),
        ("python", "def test_it():\n    assert False\n"),
    ],
)
def test_a_block_of_any_language_can_fail(language: str, text: str, tmp_path: Path) -> None:
    with pytest.raises(BlockFailed, match="x:1: exit code"):
        _run(tmp_path, Block("x", 1, language, text))


def test_a_block_may_fail_as_it_says_and_not_otherwise(tmp_path: Path) -> None:
    assert _run(tmp_path, _sh("(exit 3)\n", Said("exits", "3", "it is so"))) == 1
    with pytest.raises(BlockFailed):
        _run(tmp_path, _sh("(exit 4)\n", Said("exits", "3", "it is so")))


def test_what_is_shown_has_to_be_printed(tmp_path: Path) -> None:
    shown = Block("x", 2, "text", "5 orders, … done\n", (Said("shows"),))
    assert _run(tmp_path, _sh("echo 12 orders, all of them, done\n"), shown) == 1
    with pytest.raises(BlockFailed, match="a line that was not printed"):
        _run(tmp_path, _sh("echo 12 cancels done\n"), shown)


def test_nothing_of_a_sandbox_is_left(tmp_path: Path) -> None:
    _run(tmp_path, _sh("ip link add docs_left type veth peer docs_gone\nsleep 77.125 &\nip link show docs_left\n"))
    assert not Path("/sys/class/net/docs_left").exists()
    lines = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
    assert b"sleep\x0077.125\x00" not in lines


def test_numbers_are_alike() -> None:
    assert alike("09:30:01.071  AAPL 1,234 @ 163.17") == alike("10:31:02.5 AAPL 9 @ 1.0")
    assert alike("AAPL") != alike("MSFT")
