"""What to ask the re-request server for, and when: MoldUDP64's half of recovery, without its socket.

The hook takes the replies and moves the feed on; here is only looked at how far it has got. What is asked for is
missing at that moment, is asked for once, from the front, and again only after a time in which no answer came or when
an answer brought a part of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from turbo_hft.recovery.settings import RecoverySettings
from turbo_hft.snapshots import FeedSnapshot
from turbo_hft.wire.moldudp64 import Request

Ranges = Sequence[tuple[int, int]]
_LINE = 2  # enum hft_line: replies


@dataclass(frozen=True, slots=True)
class _Asked:
    """A request that may still be answered. `brought`: messages that replies had brought when it was sent."""

    first: int
    end: int
    tries: int
    deadline_ns: int
    brought: int


class Rerequester:
    """`poll` it with the feed as it stands; send what it returns. `hold_ns`: how long the hook waits for the other
    line. `reach`: messages that the hook can keep."""

    def __init__(self, settings: RecoverySettings, *, hold_ns: int, reach: int) -> None:
        self._settings = settings
        self._hold_ns = hold_ns
        self._reach = reach
        self._asked: list[_Asked] = []
        self._held: int | None = None  # `hold_since_ns` of the hold that is waited out
        self._held_ns = 0  # and since when, by our clock
        self.given_up = ""
        """Why a snapshot has to come; empty while there is hope, and again once nothing is missing."""
        self.requests = 0
        self.retries = 0
        self.messages_asked = 0
        self.partial_replies = 0

    def reset(self) -> None:
        """Forget what was asked and given up: another gap."""
        self._asked.clear()
        self.given_up = ""

    def overdue(self, now_ns: int, feed: FeedSnapshot) -> bool:
        """Is something missing, and the time over in which the other line may bring it?

        A hold is measured by our own clock: the hook's may be the feed's, and stands still with it.
        """
        if feed.health != "hold":
            return feed.health == "gap"
        if self._held != feed.hold_since_ns:
            self._held, self._held_ns = feed.hold_since_ns, now_ns
        return now_ns - self._held_ns > self._hold_ns

    def poll(self, now_ns: int, feed: FeedSnapshot, missing: Callable[[], Ranges]) -> list[Request]:
        """The requests to send now. `missing` gives what the feed waits for (`Engine.missing`); it is asked only if
        that matters."""
        if feed.health not in ("hold", "gap") or not feed.missing:
            self.reset()
            return []
        if self.given_up or not self.overdue(now_ns, feed):
            return []
        if feed.missing > self._settings.max_gap:
            return self._give_up(f"{feed.missing} messages from {max(feed.expected_seq, 1)} on are too many to ask for")
        ranges = missing()
        wanted = self._unanswered(now_ns, feed, ranges)
        if wanted is None:
            return []
        end = max(feed.expected_seq, 1) + self._reach
        taken = [(asked.first, asked.end) for asked in (*self._asked, *wanted)]
        for first, stop in _without(ranges, taken):
            for begin in range(first, min(stop, end), self._settings.max_request):
                if len(self._asked) + len(wanted) >= self._settings.in_flight:
                    break
                wanted.append(_Asked(begin, min(begin + self._settings.max_request, stop, end), 0, 0, 0))
        return [self._ask(now_ns, feed, each) for each in wanted]

    def _unanswered(self, now_ns: int, feed: FeedSnapshot, ranges: Ranges) -> list[_Asked] | None:
        """What is to be asked for again; what may still be answered is kept. None when that was tried too often."""
        again: list[_Asked] = []
        waiting: list[_Asked] = []
        for asked in self._asked:
            left = next(iter(_within(ranges, asked.first, asked.end)), None)
            if left is None:
                continue
            if left[0] > asked.first and feed.first[_LINE] + feed.late[_LINE] > asked.brought:
                self.partial_replies += 1  # as much as fits a datagram: what remains is asked for like new
            elif now_ns < asked.deadline_ns:
                waiting.append(replace(asked, first=left[0]))
            elif asked.tries == self._settings.tries:
                self._give_up(f"no answer to {asked.tries} requests for message {left[0]}")
                return None
            else:
                again.append(replace(asked, first=left[0], end=left[1]))
        self._asked = waiting
        return again

    def _ask(self, now_ns: int, feed: FeedSnapshot, asked: _Asked) -> Request:
        settings = self._settings
        wait_ns = min(settings.retry_ns << asked.tries, settings.longest_retry_ns)
        brought = feed.first[_LINE] + feed.late[_LINE]
        self._asked.append(replace(asked, tries=asked.tries + 1, deadline_ns=now_ns + wait_ns, brought=brought))
        self.requests += 1
        self.retries += asked.tries > 0
        self.messages_asked += asked.end - asked.first
        return Request(feed.session, asked.first, asked.end - asked.first)

    def _give_up(self, why: str) -> list[Request]:
        self._asked.clear()
        self.given_up = why
        return []


def _within(ranges: Ranges, first: int, end: int) -> Iterator[tuple[int, int]]:
    """The parts of `ranges` in [first, end)."""
    for begin, stop in ranges:
        if begin < end and stop > first:
            yield max(begin, first), min(stop, end)


def _without(ranges: Ranges, taken: Ranges) -> Iterator[tuple[int, int]]:
    """The parts of `ranges` that no range of `taken` covers, in order."""
    for begin, stop in ranges:
        at = begin
        for first, end in sorted(_within(taken, begin, stop)):
            if first > at:
                yield at, first
            at = max(at, end)
        if at < stop:
            yield at, stop
