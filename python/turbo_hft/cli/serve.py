"""Watch and steer a running engine in a browser, and let Prometheus read its metrics.

The engine is read only while a page is open or something is scraped. When it ends the page says so, and shows the next
one that starts on the interface. Two tokens are made at the start and printed once: one to trade, one to look only.
With --token-file and --read-token-file they are yours, and nothing secret is printed.
"""

from __future__ import annotations

import argparse
import importlib
from typing import TYPE_CHECKING

from turbo_hft.cli import codes, common
from turbo_hft.cli.signals import StopFlag
from turbo_hft.errors import ConfigError, TurboHftError

if TYPE_CHECKING:
    from turbo_hft.dashboard.interface_desk import InterfaceDesk
    from turbo_hft.dashboard.web.auth import Tokens
    from turbo_hft.dashboard.web.serving import Tls

NAME = "serve"
HELP = "watch and steer a running engine in a browser; metrics for Prometheus"
EPILOG = """\
docs/web.md says what protects it, docs/metrics.md lists the metrics.

examples:
  turbo-hft serve
  turbo-hft serve --read-only --port 8080
  turbo-hft serve --bind 10.0.0.5 --remote --tls-cert cert.pem --tls-key key.pem --name desk.example.net
  curl -H "Authorization: Bearer TOKEN" http://127.0.0.1:8790/metrics"""
_PORT = 8790
_STEP_S = 0.2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    common.add_interface(parser)
    parser.add_argument(
        "--bind", default="127.0.0.1", metavar="ADDRESS", help="where to listen (default %(default)s: only here)"
    )
    parser.add_argument("--port", type=_port, default=_PORT, metavar="N", help="default %(default)s; 0 = a free one")
    parser.add_argument(
        "--remote", action="store_true", help="let --bind be an address that other machines reach: they can then trade"
    )
    parser.add_argument(
        "--name", action="append", default=[], metavar="HOST", help="a further name that the server is asked for by"
    )
    parser.add_argument("--tls-cert", metavar="FILE", help="certificate (PEM, with its chain)")
    parser.add_argument("--tls-key", metavar="FILE", help="its private key (PEM)")
    parser.add_argument("--token-file", metavar="FILE", help="the token that may trade, in a file of mode 0600")
    parser.add_argument("--read-token-file", metavar="FILE", help="the token that may only look, in such a file")
    parser.add_argument(
        "--metrics-token-file", metavar="FILE", help="a token that reads /metrics from this machine, and nothing else"
    )
    parser.add_argument("--read-only", action="store_true", help="nobody trades with this server, whatever the token")
    parser.add_argument(
        "--session", type=common.seconds, default=12 * 3600.0, metavar="S", help="a login ends after (default 12 hours)"
    )
    parser.add_argument(
        "--metrics-symbols",
        type=common.count,
        default=50,
        metavar="N",
        help="at most so many symbols have series of their own (default %(default)s)",
    )


def run(args: argparse.Namespace) -> int:
    """Serve until it is told to stop."""
    try:
        for needed in ("prometheus_client", "starlette", "uvicorn"):
            importlib.import_module(needed)
    except ImportError as error:
        raise ConfigError(f"serve needs {error.name}, which is missing: pip install 'turbo-hft[web]'") from None
    from turbo_hft.dashboard.interface_desk import InterfaceDesk
    from turbo_hft.dashboard.web.auth import is_loopback
    from turbo_hft.dashboard.web.server import WebFace
    from turbo_hft.dashboard.web.serving import WebServer, bind, exposure

    tls = _tls(args)
    if not is_loopback(args.bind) and not args.remote:
        raise ConfigError(
            f"--bind {args.bind} is reached by other machines, and whoever has the token trades from there: say "
            "--remote too if that is meant (with --tls-cert and --tls-key), or leave --bind away"
        )
    tokens, printed = _tokens(args)
    with StopFlag() as stop:
        bound = bind(args.bind, args.port, tls=tls, names=args.name)
        may_trade = not args.read_only
        desk = InterfaceDesk(args.interface, lambda: common.reached(args, may_trade=may_trade), may_trade=may_trade)
        face = WebFace(
            desk,
            tokens,
            bound.place,
            session_s=args.session,
            most_symbols=args.metrics_symbols,
            say=common.say,
        )
        _look(desk, read_only=args.read_only)  # before anybody logs in: what his page can do is known then
        with WebServer(face, bound, tls) as server:
            if (warning := exposure(args.bind, tls)) is not None:
                common.say(f"WARNING: {warning}")
            common.say(f"serving the engine on {args.interface} at {bound.url}")
            for what, token in printed:
                common.say(f"{what}: {bound.url}#token={token}")
            while server.running and not stop.wait(_STEP_S):
                pass
        desk.close()
        interrupted = bool(stop.number)
    return codes.INTERRUPTED if interrupted else codes.FAILURE


def _look(desk: InterfaceDesk, *, read_only: bool) -> None:
    """Say at once what pages would only say to whoever opens one."""
    try:
        desk.view()
    except TurboHftError as error:
        common.say(f"no picture yet: {error}")
    else:
        if not desk.may_trade and not read_only:
            common.say("this user may only look at the engine, and so may every page, whatever its token")


def _port(text: str) -> int:
    return 0 if text == "0" else common.port(text)


def _tls(args: argparse.Namespace) -> Tls | None:
    from turbo_hft.dashboard.web.serving import Tls

    if (args.tls_cert is None) != (args.tls_key is None):
        raise ConfigError("--tls-cert and --tls-key belong together: give both or none")
    if args.tls_cert is None:
        return None
    tls = Tls(args.tls_cert, args.tls_key)
    tls.check()
    return tls


def _tokens(args: argparse.Namespace) -> tuple[Tokens, list[tuple[str, str]]]:
    """The tokens, and those that were made here with what they are for."""
    from turbo_hft.dashboard.web.auth import Tokens, new_token, read_token

    made = []
    given = []
    for what, path in (("to trade", args.token_file), ("to look only", args.read_token_file)):
        token = new_token() if path is None else read_token(path)
        given.append(token)
        if path is None and not (args.read_only and what == "to trade"):
            made.append((what, token))
    metrics = None if args.metrics_token_file is None else read_token(args.metrics_token_file)
    return Tokens(given[0], given[1], metrics), made
