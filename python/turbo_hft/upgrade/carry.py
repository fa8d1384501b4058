"""Can the state of a running program be carried over to another build of it? Their types are held against each other.

The maps stay where they are, so every byte of them must mean the same to both: the name, place, size and type of every
field of every map value, every global variable, and every value of every enum of the contract. What only is not read
any more is a difference too: nobody can say from the types whether the new program could do with it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from turbo_hft.errors import UpgradeError
from turbo_hft.user_strategy import btf as types
from turbo_hft.user_strategy import elf
from turbo_hft.user_strategy.btf import Btf, Kind, Member

CONFIG = ".rodata.config"
_MAPS = ".maps"
_CONTRACT = "hft_contract"
_CONSTANTS = ".rodata"
_NOT_STATE = ("license",)
_OF_A_MAP = ("type", "map_flags", "key", "value")
_ARRAYS = (Kind.ARRAY,)
_RECORDS = (Kind.STRUCT, Kind.UNION)
_ENUMS = (Kind.ENUM, Kind.ENUM64)


@dataclass(frozen=True, slots=True)
class EngineObject:
    """A build of the engine: its bytes, its types, and the ABI version that it says it speaks."""

    data: bytes
    btf: Btf
    abi: int


def read(data: bytes) -> EngineObject:
    """What an object file is, if it is the engine's. Raises UpgradeError."""
    try:
        found = elf.parse(data)
        section = found.section(".BTF")
        config = found.section(CONFIG)
        if section is None or config is None or found.section("xdp") is None:
            raise UpgradeError(
                "this object is no engine: it has no program `xdp`, no configuration, or no BTF. Give the file that "
                "build.py makes, build/xdp_hft.bpf.o."
            )
        return EngineObject(data, placed(types.parse(section.data), found), int.from_bytes(config.data[:4], "little"))
    except (elf.NotAnObject, types.NotBtf) as error:
        raise UpgradeError(f"this is no object that clang made for BPF: {error}.") from None


def placed(btf: Btf, found: elf.ElfObject) -> Btf:
    """The same with the places of the global variables, which clang leaves to whoever loads the object."""
    sizes = {section.name: section.size for section in found.sections}
    index = {section.name: number for number, section in enumerate(found.sections)}
    places = {(symbol.section, symbol.name): symbol.value for symbol in found.symbols}
    made = []
    for one in btf.types:
        if one.kind is Kind.DATASEC and one.name in index:
            members = tuple(
                member._replace(bits=8 * places.get((index[one.name], btf[member.type].name), member.bits // 8))
                for member in one.members
            )
            one = replace(one, size=sizes[one.name], members=members)  # noqa: PLW2901 - the same type, completed
        made.append(one)
    return Btf(made)


@dataclass(slots=True)
class _Comparison:
    old: Btf
    new: Btf
    found: list[str] = field(default_factory=list)
    seen: set[tuple[int, int]] = field(default_factory=set)

    def same(self, old: int, new: int, what: str) -> None:
        """Compare two types, by number; `what` is where they were met."""
        if (old, new) in self.seen:
            return
        self.seen.add((old, new))
        a, b = self.old.plain(old), self.new.plain(new)
        if a.kind is not b.kind:
            self.found.append(f"{what} was {self.old.spelled(old)}, is {self.new.spelled(new)}")
        elif a.kind in _RECORDS:
            self._records(a, b, what)
        elif a.kind in _ENUMS:
            self._values(a, b, what)
        elif a.kind in _ARRAYS:
            if a.count != b.count:
                self.found.append(f"{what} had {a.count:,} elements, has {b.count:,}")
            self.same(a.of, b.of, what)
        elif (a.size, a.signed, a.boolean) != (b.size, b.signed, b.boolean):
            self.found.append(f"{what} was {self.old.spelled(old)}, is {self.new.spelled(new)}")

    def _records(self, a: types.Type, b: types.Type, what: str) -> None:
        name = f"{a.kind.name.lower()} {a.name}" if a.name else what
        if a.name != b.name:
            self.found.append(f"{what} was {name}, is {b.kind.name.lower()} {b.name}")
        if a.size != b.size:
            self.found.append(f"{name} had {a.size:,} bytes, has {b.size:,}")
        self._members(a.members, b.members, name)

    def _members(self, old: tuple[Member, ...], new: tuple[Member, ...], name: str) -> None:
        before, after = {one.name: one for one in old}, {one.name: one for one in new}
        for key, member in before.items():
            here = after.get(key)
            if here is None:
                self.found.append(f"{name} has no field {key} any more")
                continue
            if (member.bits, member.width) != (here.bits, here.width):
                self.found.append(f"{name}.{key} was at {_place(member)}, is at {_place(here)}")
            self.same(member.type, here.type, f"{name}.{key}")
        self.found += [f"{name} has a new field {key} at {_place(after[key])}" for key in after if key not in before]

    def _values(self, a: types.Type, b: types.Type, what: str) -> None:
        name = f"enum {a.name}" if a.name else what
        before, after = dict(a.values), dict(b.values)
        for key, value in before.items():
            if key not in after:
                self.found.append(f"{name} has no {key} any more")
            elif after[key] != value:
                self.found.append(f"{name}: {key} was {value}, is {after[key]}")

    def sections(self, *, more_before: bool) -> None:
        """Global variables and maps. `more_before`: the old program may have some that the new one lacks, because they
        are those of a strategy that was linked in."""
        before, after = _sections(self.old), _sections(self.new)
        for name in sorted(after.keys() - before.keys()):
            self.found.append(f"section {name} is new")
        for name in sorted(before.keys() - after.keys()):
            if not more_before:
                self.found.append(f"there is no section {name} any more")
        for name in sorted(before.keys() & after.keys()):
            self._variables(name, before[name], after[name], more_before=more_before)

    def _variables(self, section: str, a: types.Type, b: types.Type, *, more_before: bool) -> None:
        before = {self.old[one.type].name: one for one in a.members}
        after = {self.new[one.type].name: one for one in b.members}
        for name in after.keys() - before.keys():
            self.found.append(f"{_kind(section)} {name} is new")
        for name, member in before.items():
            here = after.get(name)
            if here is None:
                if not more_before:
                    self.found.append(f"there is no {_kind(section)} {name} any more")
            elif section == _MAPS:
                self._map(name, self.old[member.type].of, self.new[here.type].of)
            else:
                if member.bits != here.bits:
                    self.found.append(f"variable {name} was at {_place(member)} of {section}, is at {_place(here)}")
                self.same(self.old[member.type].of, self.new[here.type].of, f"variable {name}")

    def _map(self, name: str, old: int, new: int) -> None:
        before = {one.name: one.type for one in self.old.plain(old).members}
        after = {one.name: one.type for one in self.new.plain(new).members}
        for key in _OF_A_MAP:
            if (key in before) != (key in after):
                self.found.append(f"map {name}: {key} is said by one of both only")
            elif key in before:
                # `type` and `map_flags` are pointers to arrays of so many elements, key and value to what they hold.
                self.same(self.old.plain(before[key]).of, self.new.plain(after[key]).of, f"map {name}, its {key}")

    def contract(self) -> None:
        """What no map names: events, commands, enums."""
        old, new = self.old.find(Kind.STRUCT, _CONTRACT), self.new.find(Kind.STRUCT, _CONTRACT)
        if old is None or new is None:
            self.found.append(f"there is no struct {_CONTRACT}, which tells the whole contract")
        else:
            # Whose members: a type that is added to the contract changes the place of none.
            before = {one.name: one.type for one in self.old[old].members}
            after = {one.name: one.type for one in self.new[new].members}
            for name in before.keys() & after.keys():
                self.same(before[name], after[name], name)


def _kind(section: str) -> str:
    return "map" if section == _MAPS else "variable"


def _sections(btf: Btf) -> dict[str, types.Type]:
    """Those that hold state, or say what the state is."""
    return {
        one.name: one
        for one in btf.types
        if one.kind is Kind.DATASEC
        and one.name not in _NOT_STATE
        and (one.name == CONFIG or not one.name.startswith(_CONSTANTS))
    }


def _place(member: Member) -> str:
    return f"byte {member.bits // 8}" + (f" bit {member.bits % 8}" if member.bits % 8 or member.width else "")


def differences(old: Btf, new: Btf, *, linked: bool) -> list[str]:
    """What keeps the state from being carried over, one sentence each; none: it can be. `linked`: a strategy is linked
    into the old program, whose own maps and variables are not looked at."""
    comparison = _Comparison(old, new)
    comparison.sections(more_before=linked)
    comparison.contract()
    return comparison.found
