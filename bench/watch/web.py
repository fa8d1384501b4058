"""The web face and a page that follows it, in one process, until a signal comes. `--folder` is for its tokens."""

from __future__ import annotations

import argparse
import re
import sys
import threading
import time
from pathlib import Path

from turbo_hft.cli import common, main
from turbo_hft.dashboard.web.auth import new_token

from tools.face_client import FaceClient


def _follow(token: str, said: list[str]) -> None:
    """As a page does: take every picture of one symbol."""
    while not said:
        time.sleep(0.05)
    client = FaceClient(said[0], token)
    first = next(client.pictures())
    for _ in client.pictures(first["symbols"][0]["name"]):
        pass


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="web", description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    args, rest = parser.parse_known_args()
    words, token, said = ["serve", "--port", "0", *rest], new_token(), list[str]()
    for option, value in (("--token-file", token), ("--read-token-file", new_token())):
        path = args.folder / option.strip("-")
        path.touch(mode=0o600)
        path.write_text(value, encoding="utf-8")
        words += [option, str(path)]

    def say(line: str) -> None:
        """As before; and where it listens."""
        print(line, file=sys.stderr, flush=True)
        said.extend(re.findall(r" at (http://\S+/)$", line))

    common.say = say
    threading.Thread(target=_follow, args=(token, said), daemon=True).start()
    sys.exit(main(words))
