"""Every map of a loaded program, read through its descriptor: contents as bytes, whatever they mean."""

from __future__ import annotations

import mmap
import os
import struct
from typing import Any

from cffi import FFI

_ARRAY, _HASH, _PERCPU_ARRAY, _LRU_HASH, _RINGBUF = 2, 1, 6, 9, 27
_RDONLY_PROG, _MMAPABLE = 1 << 7, 1 << 10
_MOST_MAPS = 64

_ffi = FFI()
_ffi.cdef(
    """
    struct program_info {
        uint32_t type, id; uint8_t tag[8]; uint32_t jited_len, xlated_len; uint64_t jited, xlated, load_time;
        uint32_t uid, nr_map_ids; uint64_t map_ids; char name[16];
    };
    struct map_info { uint32_t type, id, key_size, value_size, max_entries, map_flags; char name[16]; };
    int bpf_obj_get_info_by_fd(int fd, void *info, uint32_t *length);
    int bpf_map_get_fd_by_id(uint32_t id);
    int bpf_map_lookup_elem(int fd, const void *key, void *value);
    int bpf_map_get_next_key(int fd, const void *key, void *next_key);
    int libbpf_num_possible_cpus(void);
    """
)
_bpf: Any = _ffi.dlopen("libbpf.so.1")


def _info(fd: int, kind: str) -> Any:
    info, length = _ffi.new(f"struct {kind} *"), _ffi.new("uint32_t *", _ffi.sizeof(f"struct {kind}"))
    if _bpf.bpf_obj_get_info_by_fd(fd, info, length):
        raise OSError(_ffi.errno, f"cannot ask for a BPF object's {kind}")
    return info


class LiveMap:
    """One map. `name` is what libbpf calls it: internal maps go by their section."""

    def __init__(self, fd: int) -> None:
        info = _info(fd, "map_info")
        self.fd = fd
        self.type, self.flags = int(info.type), int(info.map_flags)
        self.key_size, self.value_size = int(info.key_size), int(info.value_size)
        self.entries = int(info.max_entries)
        name = bytes(_ffi.buffer(info.name)).rstrip(b"\0").decode()
        self.name = name[name.index(".") :] if "." in name else name
        self.stride = (self.value_size + 7) & ~7
        self._memory = self._share() if self.type == _ARRAY and self.flags & _MMAPABLE else None

    @property
    def is_array(self) -> bool:
        """Elements by number, per CPU or not."""
        return self.type in (_ARRAY, _PERCPU_ARRAY)

    @property
    def is_per_cpu(self) -> bool:
        """Does user space see the sum over the CPUs?"""
        return self.type == _PERCPU_ARRAY

    @property
    def is_hash(self) -> bool:
        """Elements by key."""
        return self.type in (_HASH, _LRU_HASH)

    @property
    def is_ring(self) -> bool:
        """A ring of records."""
        return self.type == _RINGBUF

    @property
    def is_constant(self) -> bool:
        """Fixed before the load."""
        return self.is_array and bool(self.flags & _RDONLY_PROG)

    @property
    def size(self) -> int:
        """Bytes of an array's image."""
        return self.stride * self.entries

    def _share(self) -> mmap.mmap:
        return mmap.mmap(self.fd, self.size, mmap.MAP_SHARED, mmap.PROT_READ)

    def image(self) -> bytes:
        """Every element of an array, one after the other; of a per-CPU one the sums of the 64-bit words."""
        if self._memory is not None:
            return self._memory[:]
        return b"".join(self._element(index) for index in range(self.entries))

    def _element(self, index: int) -> bytes:
        cpus = _bpf.libbpf_num_possible_cpus() if self.is_per_cpu else 1
        words = self.stride // 8
        values = _ffi.new("uint64_t[]", words * cpus)
        if _bpf.bpf_map_lookup_elem(self.fd, _ffi.new("uint32_t *", index), values):
            raise OSError(_ffi.errno, f"cannot read map {self.name}[{index}]")
        numbers = list(values)
        return struct.pack(f"={words}Q", *(sum(numbers[word::words]) % 2**64 for word in range(words)))

    def elements(self) -> dict[bytes, bytes]:
        """Key and value of every element of a hash."""
        found: dict[bytes, bytes] = {}
        key, value = _ffi.new("unsigned char[]", self.key_size), _ffi.new("unsigned char[]", self.value_size)
        error = _bpf.bpf_map_get_next_key(self.fd, _ffi.NULL, key)
        while not error:
            if _bpf.bpf_map_lookup_elem(self.fd, key, value):
                raise OSError(_ffi.errno, f"cannot read map {self.name}")
            found[bytes(key)] = bytes(value)
            error = _bpf.bpf_map_get_next_key(self.fd, key, key)
        return found

    def close(self) -> None:
        """Give the descriptor back."""
        if self._memory is not None:
            self._memory.close()
        os.close(self.fd)


def maps_of(program_fd: int) -> list[LiveMap]:
    """Every map the program uses, by name."""
    ids: Any = _ffi.new("uint32_t[]", _MOST_MAPS)
    info: Any = _ffi.new("struct program_info *")
    info.nr_map_ids, info.map_ids = _MOST_MAPS, int(_ffi.cast("uintptr_t", ids))
    length = _ffi.new("uint32_t *", _ffi.sizeof("struct program_info"))
    if _bpf.bpf_obj_get_info_by_fd(program_fd, info, length):
        raise OSError(_ffi.errno, "cannot ask for the program's maps")
    if info.nr_map_ids > _MOST_MAPS:
        raise ValueError(f"the program has {info.nr_map_ids} maps: raise _MOST_MAPS in {__name__}.")
    maps = [LiveMap(_bpf.bpf_map_get_fd_by_id(ids[index])) for index in range(info.nr_map_ids)]
    return sorted(maps, key=lambda live: live.name)
