"""Commands to the hook, byte by byte: the struct once more, by hand."""

from __future__ import annotations

import struct
from dataclasses import fields

import pytest
from turbo_hft import abi
from turbo_hft._native import lib
from turbo_hft.errors import ConfigError
from turbo_hft.program import Config
from turbo_hft.recovery.commands import FEED_ITSELF, Commands
from turbo_hft.wire import blocks

HEAD = struct.Struct("=QIIIIQII")
NONCE = 0x1122334455667788
COMMANDS = Commands(NONCE, 2)


def read(payload: bytes) -> tuple[tuple[int, ...], tuple[bytes, ...]]:
    """(op, slot, sequence, first, count) and the blocks; nonce, feed and their number are checked here."""
    nonce, op, feed, slot, count_of_blocks, sequence, first, count = HEAD.unpack_from(payload)
    messages = blocks.split(payload[HEAD.size :])
    assert (nonce, feed, count_of_blocks) == (NONCE, 2, len(messages))
    assert len(payload) <= lib.HFT_MAX_FRAME - 42
    return (op, slot, sequence, first, count), messages


def test_those_without_messages() -> None:
    assert read(COMMANDS.poke()) == ((lib.HFT_OP_POKE, 0, 0, 0, 0), ())
    assert read(COMMANDS.quarantine(7)) == ((lib.HFT_OP_QUARANTINE, 7, 0, 0, 0), ())
    assert read(COMMANDS.begin(7)) == ((lib.HFT_OP_BEGIN, 7, 0, 0, 0), ())
    assert read(COMMANDS.release(7, 1 << 40)) == ((lib.HFT_OP_RELEASE, 7, 1 << 40, 0, 0), ())
    assert read(COMMANDS.abandon(99)) == ((lib.HFT_OP_ABANDON, 0, 99, 0, 0), ())
    assert read(COMMANDS.rollover("DAY2")) == ((lib.HFT_OP_ROLLOVER, 0, 0, 0, 0), (b"DAY2      ",))


@pytest.mark.parametrize("name", ["", "ELEVENCHARS", "DÄY"])
def test_a_session_that_cannot_be(name: str) -> None:
    with pytest.raises(ConfigError, match="session"):
        COMMANDS.rollover(name)


def test_a_sweep_reaches_every_bucket_of_every_table_once() -> None:
    sizes = {name: 512 << table for table, name in abi.names("hft_table", "HFT_TABLE_").items()}
    masks = {f"{name.removesuffix('s')}_mask": size - 1 for name, size in sizes.items()}
    config = Config(**{field.name: masks.get(field.name, 0) for field in fields(Config)})  # type: ignore[arg-type]
    assert masks and len(masks) == lib.HFT_TABLES
    swept: dict[int, list[int]] = {table: [] for table in range(lib.HFT_TABLES)}
    for payload in COMMANDS.sweeps(config):
        (op, _, table, first, count), _ = read(payload)
        assert op == lib.HFT_OP_SWEEP and count <= lib.HFT_MAX_SWEEP
        swept[table] += range(first, first + count)
    assert swept == {table: list(range(512 << table)) for table in range(lib.HFT_TABLES)}


@pytest.mark.parametrize("many", [0, 1, 36, 37, 400])
def test_messages_come_in_as_many_parts_as_it_takes(many: int) -> None:
    messages = [bytes([i % 256]) * 36 for i in range(many)]
    parts = [read(payload) for payload in COMMANDS.install(7, 500, messages)]
    assert [message for _, part in parts for message in part] == messages
    assert {head for head, _ in parts} == {(lib.HFT_OP_INSTALL, 7, 500, 0, 0)} and len(parts) == max(1, -(-many // 36))
    common = [read(payload) for payload in COMMANDS.install_common(messages)]
    assert {head[:2] for head, _ in common} == {(lib.HFT_OP_INSTALL, FEED_ITSELF)}
    kept = [(500 + i, message) for i, message in enumerate(messages)]
    replayed = [read(payload) for payload in COMMANDS.replay(7, kept)]
    assert [message for _, part in replayed for message in part] == messages
    assert {head for head, _ in replayed} == ({(lib.HFT_OP_REPLAY, 7, 499 + many, 0, 0)} if many else set())


def test_an_empty_message_and_one_that_fits_no_frame() -> None:
    assert read(next(COMMANDS.install(1, 2, [b""])))[1] == (b"",)
    with pytest.raises(ConfigError, match="4000 bytes"):
        next(COMMANDS.install(1, 2, [bytes(4000)]))
