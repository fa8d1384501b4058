"""Stretches of an array's image: what differs between two, and what is not zero in one."""

from __future__ import annotations

from collections.abc import Iterator

_LINE = 64
_PAGE = 4096


def differences(before: bytes, after: bytes) -> Iterator[tuple[int, bytes]]:
    """(offset, bytes of `after`) of every run of lines in which the two differ. Images are of one length."""
    if before == after:
        return
    start = -1
    for page in range(0, len(after), _PAGE):
        end = min(page + _PAGE, len(after))
        if before[page:end] == after[page:end]:
            if start >= 0:
                yield start, after[start:page]
                start = -1
            continue
        for line in range(page, end, _LINE):
            changed = before[line : line + _LINE] != after[line : line + _LINE]
            if changed and start < 0:
                start = line
            elif not changed and start >= 0:
                yield start, after[start:line]
                start = -1
    if start >= 0:
        yield start, after[start:]


def contents(image: bytes) -> Iterator[tuple[int, bytes]]:
    """(offset, bytes) of every run of lines that are not zero."""
    return differences(bytes(len(image)), image)
