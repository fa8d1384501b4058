"""The model's numbers are those of the contract."""

from __future__ import annotations

import re
from dataclasses import fields
from enum import IntEnum
from pathlib import Path

import pytest
from turbo_hft._native import ffi
from turbo_hft.model import command, names, state

HFT = Path(__file__).parents[2] / "bpf" / "hft"


def without_comments(name: str) -> str:
    return re.sub(r"/\*.*?\*/", "", (HFT / name).read_text(), flags=re.DOTALL)


def c_enum(name: str) -> dict[str, int]:
    found = re.search(rf"enum {name} \{{(.*?)\}};", without_comments("abi.h"), re.DOTALL)
    assert found
    values: dict[str, int] = {}
    following = 0
    for entry in filter(None, (part.strip() for part in found[1].split(","))):
        member, _, value = (piece.strip() for piece in entry.partition("="))
        following = int(value) if value else following
        values[member] = following
        following += 1
    return values


def c_fields(struct: str) -> set[str]:
    found = re.search(rf"struct {struct} \{{(.*?)\}};", without_comments("abi.h"), re.DOTALL)
    assert found
    declared = re.findall(r"(?:__[us]\d+|struct \w+) (\w+)(?:\[\w+\])*;", found[1])
    return {name for name in declared if not name.startswith("pad") and name != "version"}


@pytest.mark.parametrize(
    ("c_name", "prefix", "ours"),
    [
        ("hft_role", "HFT_ROLE_", names.Role),
        ("hft_line", "HFT_LINE_", names.Line),
        ("hft_kill", "HFT_", names.Kill),
        ("hft_action", "HFT_ACTION_", names.Action),
        ("hft_tif", "HFT_TIF_", names.Tif),
        ("hft_wait", "HFT_WAIT_", names.Wait),
        ("hft_mark", "HFT_MARK_", names.Mark),
        ("hft_price_reference", "HFT_REFERENCE_", names.Reference),
        ("hft_pending", "HFT_PENDING_", names.Pending),
        ("hft_side", "HFT_", names.Side),
        ("hft_clock", "HFT_CLOCK_", names.Clock),
        ("hft_transport", "HFT_TRANSPORT_", names.Transport),
        ("hft_feed_health", "HFT_FEED_", names.FeedHealth),
        ("hft_book_health", "HFT_BOOK_", names.BookHealth),
        ("hft_doubt", "HFT_DOUBT_", names.Doubt),
        ("hft_phase", "HFT_PHASE_", names.Phase),
        ("hft_command_op", "HFT_OP_", names.Op),
        ("hft_table", "HFT_TABLE_", names.Table),
        ("hft_session_health", "HFT_SESSION_", names.SessionHealth),
        ("hft_order_state", "HFT_ORDER_", names.OrderState),
        ("hft_reason", "HFT_REASON_", names.Reason),
        ("hft_event_kind", "HFT_EVENT_", names.EventKind),
    ],
)
def test_enums_are_those_of_the_contract(c_name: str, prefix: str, ours: type[IntEnum]) -> None:
    theirs = {key.removeprefix(prefix): value for key, value in c_enum(c_name).items()}
    theirs = {key: value for key, value in theirs.items() if not key.startswith("HFT_") and key != "KINDS"}
    assert theirs == {member.name: member.value for member in ours}


def test_strategies_and_latches() -> None:
    strategies = {key.removeprefix("HFT_STRATEGY_"): value for key, value in c_enum("hft_strategy").items()}
    assert strategies.pop("HFT_STRATEGIES") == names.STRATEGIES
    assert strategies == {member.name: member.value for member in names.Strategy}
    latches = {key.removeprefix("HFT_LATCH_"): value for key, value in c_enum("hft_latch").items()}
    assert latches.pop("HFT_LATCHES") == len(names.Latch)
    assert latches == {member.name: member.value for member in names.Latch}


def test_protocol_numbers() -> None:
    theirs = c_enum("hft_protocol")
    assert theirs == {"HFT_PROTOCOL_NONE": 0, "HFT_OUCH50": 1, "HFT_OUCH42": 2}
    assert [member.value for member in names.Protocol] == [0, 1, 2]


def test_counters_and_itch_types_in_order() -> None:
    counters = [key.removeprefix("HFT_C_").lower() for key in c_enum("hft_counter") if key != "HFT_COUNTERS"]
    assert counters == list(names.COUNTERS)
    types = [key.removeprefix("HFT_ITCH_") for key in c_enum("hft_itch") if key != "HFT_ITCH_TYPES"]
    assert types == list(names.ITCH_LENGTHS)


@pytest.mark.parametrize(
    ("macro", "ours"),
    [
        ("HFT_MAX_SYMBOLS", names.MAX_SYMBOLS),
        ("HFT_DEFAULT_SYMBOLS", state.ModelConfig().symbols),
        ("HFT_MAX_FEEDS", names.MAX_FEEDS),
        ("HFT_DEFAULT_KEPT", state.ModelConfig().kept_mask + 1),
        ("HFT_DRAIN", names.DRAIN),
        ("HFT_MAX_SWEEP", names.MAX_SWEEP),
        ("HFT_MAX_BLOCKS", names.MAX_BLOCKS),
        ("HFT_MAX_ORDERS_PER_PACKET", names.MAX_ORDERS_PER_PACKET),
        ("HFT_MAX_REPLIES", names.MAX_REPLIES),
        ("HFT_MAX_WORKING", names.MAX_WORKING),
        ("HFT_MAX_TOUCHED", names.MAX_TOUCHED),
        ("HFT_MAX_PENDING", names.MAX_PENDING),
        ("HFT_MAX_INTENTS", names.MAX_INTENTS),
        ("HFT_MAX_OPEN", names.MAX_OPEN),
        ("HFT_RECENT", names.RECENT),
        ("HFT_MAX_EXECUTIONS", names.MAX_EXECUTIONS),
        ("HFT_MAX_UNMERGED", names.MAX_UNMERGED),
        ("HFT_MAX_WAITING", names.MAX_WAITING),
        *((f"HFT_WIRE_{flag.name}", flag.value) for flag in names.WireFlag),
        ("HFT_MAX_POSITION", names.MAX_POSITION),
        ("HFT_ITCH_MAX_PRICE_E4", names.ITCH_MAX_PRICE_E4),
        ("HFT_OUCH_MAX_QTY", names.OUCH_MAX_QTY),
        ("HFT_OUCH_MAX_PRICE_E4", names.OUCH_MAX_PRICE_E4),
        ("HFT_MAX_FRAME", state.ModelConfig().room),
    ],
)
def test_bounds(macro: str, ours: int) -> None:
    found = re.search(rf"#define {macro} (\w+)", without_comments("limits.h"))
    assert found
    assert int(found[1], 0) == ours


def test_lengths_of_sends_and_segments() -> None:
    assert ffi.sizeof(ffi.typeof("struct hft_send").fields[-1][1].type) == names.SEND_BYTES
    found = re.search(r"#define HFT_MOST_SEGMENT (\d+)", without_comments("tcp.bpf.h"))
    assert found
    assert int(found[1]) == names.MOST_SEGMENT


@pytest.mark.parametrize(
    ("struct", "ours", "left_out"),
    [
        ("hft_control", state.Control, set()),
        ("hft_account_limits", state.AccountLimits, set()),
        ("hft_strategy_limits", state.StrategyLimits, set()),
        ("hft_limits", state.Limits, set()),
        ("hft_symbol_limits", state.SymbolLimits, set()),
        ("hft_symbol_params", state.SymbolParams, set()),
        ("hft_touch", state.Touch, set()),
        ("hft_own", state.Own, set()),
        ("hft_signal", state.Signal, set()),
        ("hft_intent", state.Intent, set()),
        ("hft_recent", state.Recent, set()),
        ("hft_symbol_state", state.SymbolState, set()),
        ("hft_memory", state.Memory, set()),
        ("hft_strategy_state", state.StrategyState, set()),
        ("hft_account", state.Account, set()),
        ("hft_execution", state.Execution, set()),
        ("hft_auction", state.Auction, set()),
        ("hft_kept", state.Kept, set()),
        ("hft_feed_state", state.FeedState, {"cpu"}),
        ("hft_session_state", state.SessionState, set()),
        ("hft_working", state.WorkingOrder, set()),
        ("hft_template", state.Template, set()),
        ("hft_event", state.Event, {"hook_ns"}),
    ],
)
def test_state_has_the_fields_of_the_contract(struct: str, ours: type, left_out: set[str]) -> None:
    assert {field.name for field in fields(ours)} == c_fields(struct) - left_out


def test_book_has_the_fields_of_the_contract_and_levels_of_its_own() -> None:
    """What the hook has in its windows, the best shares among it, is in `levels`; names are in the parameters."""
    ours = {field.name for field in fields(state.Book)}
    windows = {"held", "window_e4", "window", "behind_e4", "behind_level"}
    assert ours - {"levels", "best_qty"} == c_fields("hft_book") - windows - {"name", "touched"}


def test_config_has_fields_of_the_contract() -> None:
    assert {field.name for field in fields(state.ModelConfig)} - {"room"} < c_fields("hft_config")


@pytest.mark.parametrize(
    ("struct", "layout"), [("hft_command", command.HEADER.format), ("hft_intent", command.INTENT.format)]
)
def test_commands_have_the_layout_of_the_contract(struct: str, layout: str) -> None:
    found = re.search(rf"struct {struct} \{{(.*?)\}};", without_comments("abi.h"), re.DOTALL)
    assert found
    letters = {"__u64": "Q", "__u32": "I"}
    assert "<" + "".join(letters[kind] for kind in re.findall(r"(__u\d+) \w+;", found[1])) == layout


@pytest.mark.parametrize(
    ("macro", "ours"), [("HFT_MAX_REF", names.MAX_REF), ("HFT_MAX_LEVEL_QTY", names.MAX_LEVEL_QTY)]
)
def test_bounds_that_are_powers_of_two_less_one(macro: str, ours: int) -> None:
    found = re.search(rf"#define {macro} \(\(1ULL << (\d+)\) - 1\)", without_comments("limits.h"))
    assert found
    assert (1 << int(found[1])) - 1 == ours


def test_lines_and_what_is_kept_of_a_message() -> None:
    assert c_enum("hft_line")["HFT_LINES"] == names.LINES
    assert f"msg[{names.KEPT_BYTES}]" in without_comments("abi.h")
    assert max(names.ITCH_LENGTHS.values()) <= names.KEPT_BYTES
