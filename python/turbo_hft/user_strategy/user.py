"""`engine.user`: which strategy is linked in, its parameters, and how another one takes its place."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from turbo_hft._native import ffi, lib
from turbo_hft.change import Changes
from turbo_hft.errors import AttachError, CapabilityError, ConfigError, LoadError, TurboHftError
from turbo_hft.pins import Pins
from turbo_hft.program import Program, Successor, engine_object, os_error
from turbo_hft.user_strategy import btf as types
from turbo_hft.user_strategy import objects
from turbo_hft.user_strategy.generations import Generation, Generations
from turbo_hft.user_strategy.lock import SwapLock
from turbo_hft.user_strategy.params import PARAMS_SECTION, Memory, Params, Source, layout_of

_CONTRACT = [(name, int(ffi.sizeof(f"struct {name}"))) for name in ("hft_signal", "hft_intents")]


class UserStrategy:
    """The strategy that is linked in, whoever linked it. Generation 0 is the engine's own, which wants nothing."""

    def __init__(
        self,
        program: Program,
        *,
        link: Callable[[], int | None],
        changes: Changes,
        pins: Callable[[], Pins | None] = lambda: None,
    ) -> None:
        """`link`: descriptor of the link that holds the program, -1 = another process has it, None = not attached.
        `pins`: where the program is pinned, if it is."""
        self._pins = pins
        self._program = program
        self._link = link
        self._changes = changes
        self._memory: tuple[int, Memory | None] | None = None
        self.generations = Generations(program.generations)

    # Which one it is

    @property
    def now(self) -> Generation:
        """All about the one that is in force."""
        return self.generations[self.generations.current]

    @property
    def generation(self) -> int:
        """Raised with every swap."""
        return self.generations.current

    @property
    def name(self) -> str:
        """The object file's name without its ending; empty when none is linked in."""
        return self.now.name

    @property
    def sha256(self) -> str:
        """Of the object file."""
        return self.now.sha256

    @property
    def size(self) -> int:
        """Bytes of the object file; 0 when none is linked in."""
        return self.now.size

    # Parameters

    @property
    def params(self) -> Params:
        """Its parameters, live. Raises ConfigError when it has none (that it reads)."""
        with self._program.lock:
            memory, generation = self._params_memory(), self.generation
        if memory is None:
            what = f"strategy {self.name}" if self.size else "no strategy is linked in, and what is not there"
            raise ConfigError(f"{what} has no parameters: declare them with HFT_PARAMS, and read them in the code.")

        def check() -> None:
            if self.generation != generation:
                raise ConfigError(
                    f"these are parameters of generation {generation}, and {self.generation} is in force: use "
                    "engine.user.params anew."
                )

        return Params(Source(memory, check, self._changes), memory.layout.shape)

    @property
    def has_params(self) -> bool:
        """Are there any?"""
        return self._params_memory() is not None

    def _params_memory(self) -> Memory | None:
        program = self._program
        with program.lock:
            generation = self.generation
            if self._memory is None or self._memory[0] != generation:
                memory = memory_of(program.user_map(PARAMS_SECTION), lambda: types.parse(program.btf()), self.name)
                self._memory = (generation, memory)
            return self._memory[1]

    # Change

    def load(self, path: str | Path, *, keep_params: bool = True) -> Generation:
        """Link an object in, in place of the one before, while packets flow; maps, books and orders stay.

        `keep_params`: parameters that the one before has too, with the same type, keep their values. Raises ConfigError
        for an object that cannot be one, LoadError (with the verifier's log) for one that the kernel refuses; the one
        before stays in force then.
        """
        user = objects.read(path)
        return self.swap(user.name, user.data, keep_params=keep_params)

    def unload(self) -> Generation:
        """Back to the engine's own, which wants nothing."""
        return self.swap("", None, keep_params=False)

    def swap(
        self,
        name: str,
        data: bytes | None,
        *,
        keep_params: bool,
        built: bytes | None = None,
        watch: Callable[[Successor], None] | None = None,
    ) -> Generation:
        """Put a program in force that is made of the engine's object (`built`, or that which is in force) and a user's
        (`data`). `watch` looks at it once it is: what it raises puts the program of before in force again."""
        engine = engine_object() if built is None else built
        with SwapLock(self._program):
            if built is None:
                self._check_engine(engine)
            else:
                self.need_object(data)
            with self.link() as link:
                successor = self._program.successor(name, data, built=engine)
                try:
                    btf = types.parse(successor.btf())
                    if data is not None:
                        check_apart(successor, btf)
                    self._prepare_params(successor, btf, keep=keep_params)
                    return self._replace(successor, data, link, hashlib.sha256(engine).digest(), watch)
                finally:
                    successor.close()

    @contextmanager
    def link(self) -> Iterator[int | None]:
        """A descriptor of the link that holds the program, None if it is not attached. Raises ConfigError,
        CapabilityError."""
        link = self._link()
        opened = link == -1
        if opened:
            link = self._link_of_another()
        try:
            yield link
        finally:
            if opened and link is not None:
                os.close(link)

    def need_object(self, data: bytes | None) -> None:
        """Another build of the engine takes the strategy along that is linked in, or one in its place. Raises
        ConfigError for none."""
        if data is None and self.size:
            raise ConfigError(
                f"strategy {self.name} (sha256 {self.sha256[:16]}) is linked into the program that runs: give its "
                "object too (--strategy-object), or take it out first (`turbo-hft strategy unload`)."
            )

    def _check_engine(self, engine: bytes) -> None:
        """A strategy is linked into the engine that runs, and into no other: that would be an upgrade."""
        runs = self.now.engine_sha256
        if runs and runs != hashlib.sha256(engine).hexdigest():
            raise ConfigError(
                f"the engine that runs was built from another object (sha256 {runs[:16]}) than this package has: give "
                "`turbo-hft upgrade` both, --object and --strategy-object."
            )

    def _link_of_another(self) -> int:
        link = lib.hft_link_of_program(self._program.facts().id)
        if link == -errno.ENOENT:
            raise ConfigError(
                "the program was attached without a link (by `ip link`), and only a link can be updated: detach it, "
                "and start the engine with `turbo-hft run` or Engine.attach."
            )
        if link in (-errno.EPERM, -errno.EACCES):
            raise CapabilityError("only who has CAP_SYS_ADMIN can change another process's program: run as root.")
        if link < 0:
            raise os_error(link, "cannot open the program's link")
        return int(link)

    def _prepare_params(self, successor: Successor, btf: types.Btf, *, keep: bool) -> None:
        new = memory_of(successor.user_map(PARAMS_SECTION), lambda: btf, successor.name)
        old = self._params_memory()
        if keep and new is not None and old is not None:
            new.keep_from(old)

    def _replace(
        self,
        successor: Successor,
        data: bytes | None,
        link: int | None,
        engine_digest: bytes,
        watch: Callable[[Successor], None] | None,
    ) -> Generation:
        table, pins = self.generations, self._pins()
        new = successor.facts().id
        digest = hashlib.sha256(data or b"").digest()
        number = table.prepare(successor.name, data or b"", digest, new, engine_digest)
        if pins is not None:
            pins.save(successor.handle, new)
        # Orders of epochs before this one were decided before: the program has not changed yet.
        self._changes.note()
        first = self._changes.epoch
        old = self._program.facts().id
        if link is not None:
            if watch is not None:
                self._program.generations.watched = new  # should this process die before it is believed
            error = lib.hft_link_update(link, successor.fd, self._program.fd)
            if error:
                if pins is not None:
                    pins.keep_only(old)
                self._program.generations.watched = 0
                raise _update_error(error)
            if watch is not None:
                self._watch(watch, successor, link, old, pins)
        with self._program.lock:
            table.publish(number, first)
            self._program.become(successor, number)
        if pins is not None:
            pins.keep_only(new)
        self._program.generations.watched = 0
        if link is not None:
            error = lib.hft_wait_for_packets()
            if error:
                raise os_error(
                    error, "the new strategy is in force, but when the last packet left the old one is not known"
                )
            self._changes.note()
        table.settle(number, self._changes.epoch)
        return table[number]

    def _watch(
        self, watch: Callable[[Successor], None], successor: Successor, link: int, old: int, pins: Pins | None
    ) -> None:
        """Look at the program that is in force; back to the one of before if that raises."""
        try:
            watch(successor)
        except BaseException:
            error = lib.hft_link_update(link, self._program.fd, successor.fd)
            if error:
                raise _update_error(error) from None
            if pins is not None:
                pins.keep_only(old)
            self._program.generations.watched = 0
            lib.hft_wait_for_packets()
            self._changes.note()
            raise


def _update_error(code: int) -> TurboHftError:
    if code == -errno.EPERM:
        return AttachError(
            "another program took this one's place meanwhile, or this process may not change it (CAP_NET_ADMIN): "
            "nothing was changed."
        )
    return AttachError(f"the link does not take the new program: {os.strerror(-code)}. The one before stays in force.")


def memory_of(map_fd: int | None, btf: Callable[[], types.Btf], name: str) -> Memory | None:
    """The parameters of a program, if it has any that it reads; `map_fd` is closed."""
    if map_fd is None:
        return None
    try:
        layout = layout_of(btf(), name)
        return None if layout is None else Memory(map_fd, layout)
    finally:
        os.close(map_fd)


def check_apart(successor: Successor, btf: types.Btf) -> None:
    """Was the strategy verified by itself, for whatever arguments of the contract's types there could be? A function of
    another linkage would have been verified with the engine's own pointers in its hands, one that takes larger structs
    would have been given what lies behind its signal. Raises LoadError."""
    found = next((btf[number] for number in successor.functions() if btf[number].name == objects.FUNCTION), None)
    if found is None or found.count != objects.GLOBAL_LINKAGE or _arguments(btf, found) != _CONTRACT:
        raise LoadError(
            f"strategy {successor.name} was refused: its types say that {objects.FUNCTION} is another function than "
            "that of hft/strategy_api.h. Include the header, and define it as it is declared there."
        )


def _arguments(btf: types.Btf, function: types.Type) -> list[tuple[str, int]]:
    """Name and size of what the arguments point to."""
    arguments = [btf.plain(member.type) for member in btf[function.of].members]
    targets = [btf.plain(one.of) if one.kind is types.Kind.PTR else one for one in arguments]
    return [(target.name, target.size) for target in targets]
