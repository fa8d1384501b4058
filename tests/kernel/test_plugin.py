"""A user's strategy: what may be linked in, its parameters, and that a refused one changes nothing."""

from __future__ import annotations

import gc
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from turbo_hft._native import lib
from turbo_hft.engine import Engine
from turbo_hft.errors import ConfigError, LoadError
from turbo_hft.user_strategy import btf, elf, objects
from turbo_hft.user_strategy import report as reports
from turbo_hft.user_strategy.lock import SwapLock
from turbo_hft.user_strategy.user import check_apart
from user_strategies import BUYER, EXAMPLE, ROOT, body, compiled

from tools.kernel_matrix.errors import UNAVAILABLE

pytestmark = pytest.mark.kernel

Compile = Callable[..., Path]
INSNS, STACK_BYTES = 250_000, 512  # as in test_verifier_budget.py


@pytest.fixture
def make(tmp_path: Path) -> Compile:
    def compile_it(text: str, name: str = "mine", *flags: str) -> Path:
        return compiled(tmp_path, text, name, *flags)

    return compile_it


@pytest.fixture
def engine() -> Iterator[Engine]:
    with Engine.load(symbols=16, orders=256, kept=64) as made:
        yield made


def refused(engine: Engine, path: Path, *words: str) -> str:
    """It is refused, with a message that says these words; nothing has changed."""
    before = engine.user.now, engine.program.facts().id, engine.epoch
    with pytest.raises(ConfigError) as error:
        engine.load_strategy(path)
    assert (engine.user.now, engine.program.facts().id, engine.epoch) == before
    for word in words:
        assert word in str(error.value)
    return str(error.value)


# What it is


def test_nothing_is_linked_in_at_first(engine: Engine) -> None:
    assert (engine.user.generation, engine.user.name, engine.user.size) == (0, "", 0)
    assert not engine.user.has_params
    with pytest.raises(ConfigError, match="no parameters"):
        _ = engine.user.params


def test_the_example_is_under_forty_lines_and_loads(engine: Engine, make: Compile) -> None:
    assert len(EXAMPLE.read_text().splitlines()) < 40
    path = make(EXAMPLE.read_text(), "lean")
    done = engine.load_strategy(path)
    assert (done.number, done.name, done.size) == (1, "lean", path.stat().st_size)
    assert engine.user.now == done
    assert engine.user.params.as_dict() == {"qty": 100, "heavy_pct": 80, "most_spread_e4": 200, "rest_ns": 1_000_000}


def test_a_program_may_be_loaded_with_one(make: Compile) -> None:
    with Engine.load(strategy=make(BUYER), symbols=16, orders=256, kept=64) as engine:
        assert (engine.user.generation, engine.user.name, engine.user.params.qty) == (1, "mine", 100)
    with pytest.raises(ConfigError, match="cannot read"):
        Engine.load(strategy="nowhere.o", symbols=16, orders=256, kept=64)


def test_every_swap_is_a_generation_with_its_first_epoch(engine: Engine, make: Compile) -> None:
    path = make(BUYER)
    for number in range(1, 4):
        before = engine.epoch
        done = engine.load_strategy(path)
        assert done.number == number
        assert before < done.first_epoch <= done.settled_epoch == engine.epoch
        assert engine.user.generations.of_epoch(before).number == number - 1
        assert engine.user.generations.of_epoch(engine.epoch).number == number
        assert engine.program.facts().id == done.program_id
    assert [one.number for one in engine.user.generations] == [0, 1, 2, 3]
    assert engine.user.unload().size == 0
    assert engine.user.generation == 4
    with pytest.raises(KeyError, match="not known"):
        _ = engine.user.generations[5]


def test_the_engines_maps_are_kept_and_its_strategy_s_are_new(engine: Engine, make: Compile) -> None:
    path = make(BUYER)
    engine.load_strategy(path)
    ids = {name: _map_id(engine.program.map(name)) for name in engine.program._shapes}
    first = _own_map_id(engine)
    engine.load_strategy(path)
    handle = engine.program._handle
    for name, shape in engine.program._shapes.items():
        assert _map_id(lib.hft_map_fd(handle, shape.name.encode())) == ids[name], name
    assert _map_id(lib.hft_map_fd(handle, b".data.engine")) > 0
    assert _own_map_id(engine) != first


def _own_map_id(engine: Engine) -> int:
    fd = engine.program.user_map(".data.params")
    assert fd is not None
    try:
        return _map_id(fd)
    finally:
        os.close(fd)


def _map_id(fd: int) -> int:
    about = Path(f"/proc/self/fdinfo/{fd}").read_text()
    return next(int(line.split()[1]) for line in about.splitlines() if line.startswith("map_id"))


def test_the_engine_keeps_nothing_where_a_strategy_has_its_variables() -> None:
    # A strategy's .bss and .data are joined with the engine's: there must be none.
    assert {".bss", ".data"}.isdisjoint(section.name for section in objects.engine()[0].sections)


@pytest.mark.long
def test_a_hundred_swaps_leave_nothing_behind(engine: Engine, make: Compile) -> None:
    paths = make(BUYER, "one"), make(EXAMPLE.read_text(), "two")
    for path in paths:
        engine.load_strategy(path)
    gc.collect()
    before = _open_files(), _mappings()
    for number in range(100):
        engine.load_strategy(paths[number % 2])
    assert engine.user.generation == 102
    gc.collect()
    assert (_open_files(), _mappings()) == before


def _open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def _mappings() -> int:
    return sum("bpf" in line or "memfd" in line for line in Path("/proc/self/maps").read_text().splitlines())


def test_frames_run_in_other_threads_while_it_is_swapped(engine: Engine, make: Compile) -> None:
    path, ended, ran, errors = make(BUYER), threading.Event(), [0], []

    def run() -> None:
        while not ended.is_set():
            try:
                engine.program.inject(bytes(42), b"")
                assert not engine.user.size or engine.user.params.qty == 100
                ran[0] += 1
            except ConfigError as error:  # parameters of the generation before
                assert "is in force" in str(error)
            except Exception as error:
                errors.append(error)
                return

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    fd = engine.program.fd
    for _ in range(20):
        engine.load_strategy(path)
    ended.set()
    for thread in threads:
        thread.join()
    assert not errors
    assert ran[0] > 0
    assert engine.program.fd == fd


def test_two_swaps_at_once_are_one_too_many(engine: Engine, make: Compile) -> None:
    path = make(BUYER)
    with SwapLock(engine.program):
        refused(engine, path, "another strategy is being loaded")
    engine.load_strategy(path)


# Parameters

PARAMS = """
#include <hft/strategy_api.h>
typedef __s32 ticks;
enum mood { CALM = -1, KEEN = 3 };
struct leg { __s16 lean; __u8 steps[3]; };
HFT_PARAMS struct {
	__u64 u64; __s64 s64; __u32 u32; ticks s32; __u16 u16; __s16 s16; __u8 u8; __s8 s8;
	_Bool on; enum mood mood; __u32 levels[4]; struct leg leg; struct leg legs[2]; __u16 grid[2][3];
} params = { .u64 = 5, .s64 = -5, .mood = KEEN, .levels = { 1, 2, 3, 4 }, .leg = { .lean = -7 }, .on = 1 };
int hft_user_strategy(const struct hft_signal *signal, struct hft_intents *intents)
{
	if (!signal || !intents)
		return 0;
	if (params.on && params.mood == KEEN && params.levels[3] == 4 && params.u64)
		hft_wait_for(intents, HFT_WAIT_LIMIT);
	return 0;
}
"""


def test_parameters_are_typed_fields(engine: Engine, make: Compile) -> None:
    engine.load_strategy(make(PARAMS))
    params = engine.user.params
    assert list(params)[:2] == ["u64", "s64"]
    assert (params.u64, params.s64, params.mood, params.on) == (5, -5, "KEEN", True)
    assert (list(params.levels), params.leg.lean, params["leg"]["steps"][2]) == ([1, 2, 3, 4], -7, 0)
    for name, low, high in (
        ("u64", 0, 2**64 - 1),
        ("s64", -(2**63), 2**63 - 1),
        ("u32", 0, 2**32 - 1),
        ("s32", -(2**31), 2**31 - 1),
        ("u16", 0, 2**16 - 1),
        ("s16", -(2**15), 2**15 - 1),
        ("u8", 0, 255),
        ("s8", -128, 127),
    ):
        for value in (low, high):
            setattr(params, name, value)
            assert getattr(params, name) == value
        wrong: tuple[object, ...] = (low - 1, high + 1, True, 1.5, "1")
        for bad in wrong:
            with pytest.raises(ConfigError, match=rf"params\.{name}"):
                setattr(params, name, bad)
    params.mood = "CALM"
    params.on = False
    params["levels"] = (9, 8, 7, 6)
    params.levels[-1] = 5
    params.leg = {"lean": 300, "steps": [1, 2, 3]}
    params.legs[1].steps[0] = 200
    params.grid[1][2] = 6
    assert params.as_dict() | {"u64": 0, "s64": 0} == {
        "u64": 0,
        "s64": 0,
        "u32": 2**32 - 1,
        "s32": 2**31 - 1,
        "u16": 2**16 - 1,
        "s16": 2**15 - 1,
        "u8": 255,
        "s8": 127,
        "on": False,
        "mood": "CALM",
        "levels": [9, 8, 7, 5],
        "leg": {"lean": 300, "steps": [1, 2, 3]},
        "legs": [{"lean": 0, "steps": [0, 0, 0]}, {"lean": 0, "steps": [200, 0, 0]}],
        "grid": [[0, 0, 0], [0, 0, 6]],
    }


def test_a_wrong_value_is_an_error_that_names_the_field(engine: Engine, make: Compile) -> None:
    engine.load_strategy(make(PARAMS))
    params, before = engine.user.params, engine.user.params.as_dict()
    wrong: tuple[tuple[str, object], ...] = (
        ("mood", "GLOOMY"),
        ("mood", 2),
        ("on", 1),
        ("levels", [1, 2, 3]),
        ("levels", [1, 2, 3, -1]),
        ("leg", {"lean": 40_000}),
        ("leg", {"slant": 1}),
        ("leg", 1),
    )
    for name, value in wrong:
        with pytest.raises(ConfigError, match=rf"params\.{name}"):
            params[name] = value
    with pytest.raises(IndexError, match="4 elements"):
        params.levels[4] = 1
    with pytest.raises(AttributeError, match="edge_e4"):
        params.edge_e4 = 1
    assert params.as_dict() == before


def test_a_change_raises_the_epoch(engine: Engine, make: Compile) -> None:
    engine.load_strategy(make(BUYER))
    before = engine.epoch
    engine.user.params.qty = 7
    assert engine.epoch > before


def test_values_are_kept_where_name_and_type_are(engine: Engine, make: Compile) -> None:
    first = "HFT_PARAMS struct { __u32 a; __u32 b; __u16 c[2]; __u64 d; } params = { .d = 4 };"
    second = "HFT_PARAMS struct { __u64 d; __s32 b; __u16 c[3]; __u32 a; __u32 e; } params = { .b = -1, .e = 9 };"
    use = "hft_wait_for(intents, params.a);"
    engine.load_strategy(make(body(use, first), "first"))
    engine.user.params.a, engine.user.params.b, engine.user.params.c = 11, 12, [13, 14]
    engine.load_strategy(make(body(use, second), "second"))
    assert engine.user.params.as_dict() == {"d": 4, "b": -1, "c": [13, 14, 0], "a": 11, "e": 9}
    engine.load_strategy(make(body(use, second), "second"), keep_params=False)
    assert engine.user.params.as_dict() == {"d": 0, "b": -1, "c": [0, 0, 0], "a": 0, "e": 9}


def test_parameters_of_a_generation_that_has_gone_are_an_error(engine: Engine, make: Compile) -> None:
    path = make(BUYER)
    engine.load_strategy(path)
    params = engine.user.params
    engine.load_strategy(path)
    with pytest.raises(ConfigError, match="generation 1"):
        params.qty = 1
    with pytest.raises(ConfigError, match="generation 1"):
        _ = params.qty


@pytest.mark.parametrize(
    ("declared", "words"),
    [
        ("struct { __u64 *at; } params", ("params.at", "*")),
        ("struct { double d; } params", ("params.d", "double")),
        ("struct { __int128 wide; } params", ("params.wide",)),
        ("struct { union { __u32 a; __u32 b; } either; } params", ("params.either", "union")),
        ("struct { __u32 a : 3; } params", ("params.a", "bit field")),
        ("struct { struct { __u32 a; }; } params", ("anonymous",)),
        ("struct { __u8 a; __u64 b; } __attribute__((packed)) params", ("params.b", "not aligned")),
        ("__u64 edge", ("edge", "no struct")),
        ("struct { __u32 a; } one; HFT_PARAMS struct { __u32 a; } two", ("several", "one, two")),
    ],
)
def test_what_cannot_be_a_parameter(engine: Engine, make: Compile, declared: str, words: tuple[str, ...]) -> None:
    refused(engine, make(body("", f"HFT_PARAMS {declared};"), "mine", "-mllvm", "-bpf-disable-serialize-icmp"), *words)


# What the verifier refuses

BAD = {
    "out of bounds": ("hft_wait_for(intents, table[signal->slot]);", "static volatile __u32 table[8];"),
    "beyond the signal": ("hft_wait_for(intents, ((const __u32 *)signal)[1000]);", ""),
    "before the signal": ("hft_wait_for(intents, ((const __u32 *)signal)[-1]);", ""),
    "beyond the intents": ("intents->intent[signal->slot & 15].qty = 1;", ""),
    "an endless loop": ('while (signal->slot != 77) asm volatile("" ::: "memory");', ""),
    "a pointer made up": ("hft_wait_for(intents, *(volatile __u32 *)(long)signal->now_ns);", ""),
    "the context": ('register __u64 r6 asm("r6"); asm volatile("" : "=r"(r6)); intents->wait = *(__u32 *)r6;', ""),
}


@pytest.mark.parametrize("what", BAD)
def test_what_the_verifier_refuses_changes_nothing(engine: Engine, make: Compile, what: str) -> None:
    engine.load_strategy(make(BUYER, "good"))
    before = engine.user.now, engine.program.facts().id, engine.epoch
    with pytest.raises(LoadError, match="strategy bad was refused") as error:
        engine.load_strategy(make(body(*BAD[what]), "bad", "-Wno-uninitialized"))
    assert "hft_user_strategy" in error.value.verifier_log
    assert (engine.user.now, engine.program.facts().id, engine.epoch) == before
    assert engine.user.params.qty == 100


def test_unchecked_arguments_are_refused(engine: Engine, make: Compile) -> None:
    text = BUYER.replace("if (!signal || !intents)\n\t\treturn 0;\n", "")
    with pytest.raises(LoadError, match="mem_or_null"):
        engine.load_strategy(make(text))


# What is not linked in the first place


@pytest.mark.parametrize(
    ("before", "use", "word"),
    [
        ("extern struct hft_control control;", "control.kill = 1;", "control"),
        ("extern struct hft_book books[256];", "hft_wait_for(intents, books[0].locate);", "books"),
        ("extern __u8 rx[4096];", "rx[0] = 1;", "rx"),
        ("extern int order_commit(__u32 index);", "order_commit(0);", "order_commit"),
        ("extern const struct hft_config config;", "hft_wait_for(intents, config.feeds);", "config"),
        (
            'extern int bpf_xdp_metadata_rx_hash(void *ctx) __attribute__((section(".ksyms")));',
            "bpf_xdp_metadata_rx_hash(0);",
            "bpf_xdp_metadata_rx_hash",
        ),
    ],
)
def test_nothing_of_the_engine_can_be_named(engine: Engine, make: Compile, before: str, use: str, word: str) -> None:
    refused(engine, make(body(use, before)), f"uses {word}, which it does not define")


def test_a_map_of_the_engine_cannot_be_named(engine: Engine, make: Compile) -> None:
    text = body("__u32 key = 0; lookup(&control, &key);", _MAP.format(name="control", extern="extern ", type=2))
    refused(engine, make(text), "uses control")


_MAP = """
static void *(*lookup)(void *map, const void *key) = (void *)1;
{extern}struct {{
	int (*type)[{type}];
	int (*max_entries)[16];
	__u32 *key;
	__u64 *value;
}} {name} __attribute__((section(".maps")));
"""


@pytest.mark.parametrize("name", ["control", "events", "symbol_params", "generations"])
def test_a_map_of_a_name_that_the_engine_has(engine: Engine, make: Compile, name: str) -> None:
    text = body(f"__u32 key = 0; lookup(&{name}, &key);", _MAP.format(name=name, extern="", type=1))
    refused(engine, make(text), name, "another name")


@pytest.mark.parametrize("kind", [3, 12, 14, 16, 17, 25])
def test_a_map_of_a_type_that_is_not_for_strategies(engine: Engine, make: Compile, kind: int) -> None:
    text = body("__u32 key = 0; lookup(&mine, &key);", _MAP.format(name="mine", extern="", type=kind))
    refused(engine, make(text), "map mine", "HASH, ARRAY")


def test_a_pinned_map(engine: Engine, make: Compile) -> None:
    text = body("__u32 key = 0; lookup(&mine, &key);", _MAP.format(name="mine", extern="", type=1))
    refused(engine, make(text.replace("int (*type)", "int (*pinning)[1]; int (*type)")), "pinning")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (body("").replace("hft_user_strategy", "my_strategy"), ("has no function hft_user_strategy",)),
        (body("").replace("int hft_user", "__attribute__((weak)) int hft_user"), ("neither static nor weak",)),
        (
            body("").replace("int hft_user", '__attribute__((visibility("hidden"))) int hft_user'),
            ("hidden visibility",),
        ),
        (body("").replace("int hft_user", '__attribute__((section("xdp"))) int hft_user'), ("section 'xdp'", "SEC()")),
        (body("") + '__attribute__((section("xdp"))) int xdp_hft(void *x) { return !x; }', ("section 'xdp'",)),
        (body("") + "int order_commit(__u32 i) { return i; }", ("defines order_commit", "static")),
        (body("") + "__u64 tallies;", ("defines tallies",)),
        (body("x++;", '__u32 x __attribute__((section(".data.engine")));'), ("'.data.engine'",)),
        (body("x++;", '__u32 x __attribute__((section(".data.books")));'), ("'.data.books'",)),
        (
            body("hft_wait_for(intents, x);", 'const volatile __u32 x __attribute__((section(".rodata.config")));'),
            ("'.rodata.config'",),
        ),
        (body("", 'char own[] __attribute__((section("license"))) = "Proprietary";'), ("license",)),
        (body("").replace("strategy_api.h", "abi.h"), ("strategy_api.h",)),
    ],
)
def test_a_wrong_object(engine: Engine, make: Compile, text: str, words: tuple[str, ...]) -> None:
    types = "typedef unsigned char __u8;typedef unsigned short __u16;typedef unsigned int __u32;typedef int __s32;"
    types += "typedef unsigned long long __u64;typedef long long __s64;\n"
    refused(engine, make(types + text, "mine", "-Wno-unused-function"), "strategy mine", *words)


def test_the_same_license_may_be_named(engine: Engine, make: Compile) -> None:
    engine.load_strategy(make(body("", 'char _license[] __attribute__((section("license"))) = "Dual BSD/GPL";')))


@pytest.mark.parametrize(("number", "arguments"), [(12, "0, 0, 0"), (44, "0, 0"), (113, "0, 0, 0"), (51, "0, 0, 0")])
def test_a_helper_that_is_not_for_strategies(engine: Engine, make: Compile, number: int, arguments: str) -> None:
    before = f"static long (*helper)() = (void *){number};"
    path = make(body(f"helper({arguments});", before), "mine", "-Wno-deprecated-non-prototype")
    refused(engine, path, f"helper number {number}", "bpf_ktime_get_ns")


def test_an_object_of_another_version(engine: Engine, make: Compile, tmp_path: Path) -> None:
    here = tmp_path / "hft"
    here.mkdir()
    for name in ("abi.h", "limits.h", "strategy_api.h"):
        (here / name).write_text(
            (ROOT / "bpf" / "hft" / name)
            .read_text()
            .replace("HFT_STRATEGY_ABI 5", "HFT_STRATEGY_ABI 3")
            .replace("HFT_ABI_VERSION = 5", "HFT_ABI_VERSION = 3")
        )
    refused(engine, _with(tmp_path, BUYER), "version 3", "header-dir")


def _with(include: Path, text: str) -> Path:
    return compiled(include, text.replace("<hft/", '"hft/').replace(".h>", '.h"'))


def test_an_object_of_a_changed_contract(engine: Engine, tmp_path: Path) -> None:
    here = tmp_path / "hft"
    here.mkdir()
    for name in ("abi.h", "limits.h", "strategy_api.h"):
        text = (ROOT / "bpf" / "hft" / name).read_text()
        (here / name).write_text(text.replace("\t__u64 now_ns;", "\t__s64 now_ns;"))
    refused(engine, _with(tmp_path, BUYER), "struct hft_signal")


def test_no_object_at_all(engine: Engine, make: Compile, tmp_path: Path) -> None:
    path = tmp_path / "mine.o"
    refused(engine, path, "cannot read", "No such file")
    good = make(BUYER).read_bytes()
    for data in (b"", b"hello", good[:100], good[: len(good) // 2], b"\x7fELF" + bytes(200)):
        path.write_bytes(data)
        refused(engine, path, "clang")
    path.write_bytes(Path("/proc/self/exe").read_bytes())
    refused(engine, path, "another machine")
    refused(engine, make(BUYER, "mine", "-g0"), "clang -g")


def test_damaged_objects_are_refused_or_harmless(make: Compile) -> None:
    good = make(EXAMPLE.read_text()).read_bytes()
    for at in range(0, len(good), 7):
        damaged = bytearray(good)
        damaged[at] ^= 0xFF
        try:
            objects.check("mine", bytes(damaged))
        except ConfigError:
            continue


def test_a_larger_signal_would_be_the_engines_memory(engine: Engine, make: Compile) -> None:
    """What lies behind the signal in the engine's own map are intents, pending ones too, and who is inside. The linker
    goes by a struct's name, and the verifier by the size that the function's own types give it."""
    text = """
typedef unsigned int __u32; typedef unsigned long long __u64;
struct hft_signal { char bytes[2048]; };
struct hft_intents { __u32 count; };
__attribute__((btf_decl_tag("hft_abi_5")))
int hft_user_strategy(struct hft_signal *signal, struct hft_intents *intents)
{
	if (!signal || !intents)
		return 0;
	signal->bytes[2000] = 1;
	return 0;
}
"""
    path = make(text)
    refused(engine, path, "another struct hft_signal")
    successor = engine.program.successor("mine", path.read_bytes())
    try:
        with pytest.raises(LoadError, match="another function"):
            check_apart(successor, btf.parse(successor.btf()))
    finally:
        successor.close()
    path = make(text.replace("struct hft_signal", "struct more"))
    with pytest.raises(LoadError, match="incompatible struct names"):
        engine.program.successor("mine", path.read_bytes())


def test_a_call_that_aims_beside_its_own_functions(make: Compile) -> None:
    # No C does this: both objects' code lies in one section once they are linked.
    before = "static __attribute__((noinline)) __u32 twice(__u32 x) { return 2 * x; }"
    good = bytearray(make(body("hft_wait_for(intents, twice(signal->slot));", before)).read_bytes())
    objects.check("mine", bytes(good))
    at = good.index(b"\x85\x10\0\0")
    aimed = int.from_bytes(good[at + 4 : at + 8], "little", signed=True)
    good[at + 4 : at + 8] = (aimed - 40).to_bytes(4, "little", signed=True)
    with pytest.raises(ConfigError, match="no function of its own"):
        objects.check("mine", bytes(good))


def test_a_loop_with_a_function_of_its_own(engine: Engine, make: Compile) -> None:
    before = (
        "static long (*loop)(__u32, void *, void *, __u64) = (void *)181;"
        "static long step(__u32 i, void *to) { *(__u32 *)to += i; return 0; }"
    )
    engine.load_strategy(make(body("__u32 sum = 0; loop(10, step, &sum, 0); hft_wait_for(intents, sum);", before)))


@pytest.mark.parametrize(("section", "at", "what"), [(".rel.text", 7, "relocation"), (".symtab", 24 + 7, "symbol")])
def test_what_the_linker_would_believe(make: Compile, section: str, at: int, what: str) -> None:
    """Places outside of the file: libbpf 1.1 goes there."""
    good = bytearray(make(EXAMPLE.read_text()).read_bytes())
    found = elf.parse(bytes(good)).section(section)
    assert found is not None
    good[good.index(found.data) + at] = 0xFE
    with pytest.raises(ConfigError, match=what):
        objects.check("mine", bytes(good))


# What it may have


def test_maps_and_variables_of_its_own(engine: Engine, make: Compile) -> None:
    before = (
        _MAP.format(name="mine", extern="", type=1)
        + "static __u64 calls; static __u64 start = 5; static const __u32 steps[4] = { 1, 2, 3, 4 };"
        + "static __attribute__((noinline)) __u32 half(__u32 x) { return x / 2; }"
        + "__attribute__((noinline)) __u32 third(__u32 x) { return x / 3; }"
    )
    use = """
	__u32 key = signal->slot;
	__u64 *value = lookup(&mine, &key);
	if (value)
		*value += 1;
	calls += start + steps[signal->slot & 3] + half(signal->slot) + third(signal->slot);
	"""
    engine.load_strategy(make(body(use, before)))
    fd = engine.program.user_map("mine")
    assert fd is not None
    os.close(fd)
    assert engine.user.generation == 1


def test_what_is_left_of_stack_and_calls_is_what_is_promised(engine: Engine, make: Compile) -> None:
    each = lib.HFT_USER_STACK // (lib.HFT_USER_CALLS + 1)
    engine.load_strategy(make(deep(lib.HFT_USER_STACK, 0), "alone"))
    engine.load_strategy(make(deep(each, lib.HFT_USER_CALLS), "deep"))
    found = reports.report(objects.read(make(deep(each, lib.HFT_USER_CALLS), "deep")))
    assert found.stack == {"hft_user_strategy": each} | {f"f{i}": each for i in range(1, lib.HFT_USER_CALLS + 1)}
    with pytest.raises(LoadError, match="stack"):
        engine.load_strategy(make(deep(480, 0), "greedy"))


@pytest.mark.long
@pytest.mark.timeout(300)
@pytest.mark.parametrize("what", ["stack", "calls"])
def test_older_kernels_grant_it_too(make: Compile, tmp_path: Path, what: str) -> None:
    each = lib.HFT_USER_STACK // (lib.HFT_USER_CALLS + 1)
    text = {
        "stack": deep(lib.HFT_USER_STACK, 0),
        "calls": deep(each, lib.HFT_USER_CALLS),
    }[what]
    # bpftool has the same linker.
    bpftool, linked = shutil.which("bpftool", path="/usr/sbin:/usr/bin:/sbin:/bin"), tmp_path / "linked.o"
    assert bpftool, "bpftool is missing: `make deps`"
    command = [bpftool, "gen", "object", str(linked), str(ROOT / "build" / "xdp_hft.bpf.o"), str(make(text))]
    subprocess.run(command, check=True)
    command = [sys.executable, "-m", "tools.verifier", "--object", str(linked), "--kernels", "6.1", "6.12", "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode == UNAVAILABLE:
        pytest.skip(done.stderr.strip().splitlines()[-1])
    assert done.returncode == 0, done.stderr
    runs = json.loads(done.stdout)
    assert [run["release"].split(".")[:2] for run in runs[1:]] == [["6", "1"], ["6", "12"]]
    for run in runs:
        assert run["programs"][0]["verified_insns"] <= INSNS
        assert run["programs"][0]["stack_chain_bytes"] <= STACK_BYTES


@pytest.mark.timeout(300)
def test_older_kernels_swap(make: Compile) -> None:
    path = make(EXAMPLE.read_text())
    command = [sys.executable, "-m", "tools.kernel_matrix.swaps", str(path), "6.1", "6.12"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode == UNAVAILABLE:
        pytest.skip(done.stderr.strip().splitlines()[-1])
    assert done.returncode == 0, done.stderr
    assert [line.endswith(": 3 swaps") for line in done.stdout.splitlines()] == [True, True]


def deep(stack: int, calls: int) -> str:
    """A strategy that uses so much stack, in itself and in each of a chain of functions."""
    take = f'asm volatile("r3 = 0; *(u64 *)(r10 - {stack}) = r3" ::: "r3", "memory");'
    chain = [
        f"static __attribute__((noinline)) int f{i}(int x) {{ {take} return 1 + {value}; }}"
        for i in range(calls, 0, -1)
        for value in [f"f{i + 1}(x)" if i < calls else "x"]
    ]
    return body(f"{take} {'hft_wait_for(intents, f1(signal->slot));' if calls else ''}", "\n".join(chain))


def test_a_report_of_the_example(make: Compile) -> None:
    found = reports.report(objects.read(make(EXAMPLE.read_text(), "lean")))
    assert found.name == "lean"
    assert 0 < found.own_insns < found.verified_insns
    assert found.params["heavy_pct"] == 80
    assert set(found.stack) == {"hft_user_strategy"}
    assert max(found.stack.values()) <= found.stack_budget == lib.HFT_USER_STACK
    assert found.load_ms > 0
