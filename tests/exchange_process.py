"""The exchange as a process on loopback, and the sockets that talk to it."""

from __future__ import annotations

import re
import socket
import subprocess
import sys

from turbo_hft.wire import moldudp64, ufo

HOST = "127.0.0.1"
DEADLINE_S = 20.0


class Udp:
    """A socket that is read until something wanted comes, or the deadline."""

    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        self.socket.bind((HOST, 0))
        self.socket.settimeout(DEADLINE_S)

    @property
    def port(self) -> int:
        return int(self.socket.getsockname()[1])

    def receive(self) -> bytes:
        return self.socket.recv(65_535)


class Client(Udp):
    """A UFO client that keeps the raw sequenced messages it was sent."""

    def __init__(self, port: int) -> None:
        super().__init__()
        self.socket.connect((HOST, port))
        self.messages: dict[int, bytes] = {}
        self.control: list[ufo.Downstream] = []

    def send(self, *messages: ufo.Upstream) -> None:
        self.socket.send(ufo.encode_upstream(*messages))

    def read(self) -> ufo.Downstream:
        packet = ufo.decode_downstream(self.receive())
        if isinstance(packet, ufo.Sequenced):
            self.messages.update(enumerate(packet.messages, packet.sequence))
        else:
            self.control.append(packet)
        return packet

    def until(self, kind: bytes) -> bytes:
        """Read until the newest sequenced message is of this type."""
        while not self.messages or self.messages[max(self.messages)][:1] != kind:
            self.read()
        return self.messages[max(self.messages)]


class Process:
    """The running exchange: its process, its ports as it announced them, the socket its feed goes to."""

    def __init__(self, feed: Udp, *arguments: str) -> None:
        command = [sys.executable, "-m", "turbo_hft.exchange", "--bind", HOST, "--feed", f"{HOST}:{feed.port}"]
        for port in ("ouch50", "ouch42", "ouch50-tcp", "ouch42-tcp", "rerequest-port", "glimpse-port"):
            command += [f"--{port}", "0"]
        self.feed = feed
        self.process = subprocess.Popen(
            [*command, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stderr is not None
        ready = self.process.stderr.readline()
        self.ports = {name: int(port) for name, port in re.findall(r"(\w+) [\d.]+:(\d+)", ready)}
        assert "ouch50" in self.ports, ready + self.process.stderr.read()
        self.ouch50, self.ouch42 = self.ports["ouch50"], self.ports["ouch42"]

    def end(self) -> tuple[int, str, str]:
        out, err = self.process.communicate(timeout=DEADLINE_S)
        return self.process.returncode, out, err

    def messages(self) -> tuple[list[bytes], int]:
        """Everything the feed says up to its end of session, without a hole, and the last packet's sequence."""
        messages: list[bytes] = []
        while True:
            packet = moldudp64.decode(self.feed.receive())
            assert packet.sequence == len(messages) + 1
            if isinstance(packet, moldudp64.EndOfSession):
                return messages, packet.sequence
            if isinstance(packet, moldudp64.Packet):
                messages += packet.messages
