"""The order frame, complete, as the hook patches it: headers for one order session and one Enter Order in UFO."""

from __future__ import annotations

import time
from typing import Any

from turbo_hft._native import ffi, lib
from turbo_hft.addresses import OrderSession
from turbo_hft.errors import ConfigError
from turbo_hft.wire import ouch42, ouch50, ufo
from turbo_hft.wire.frame import udp_frame
from turbo_hft.wire.ouch_options import encode_options

_TOKEN_PREFIX = 6
_MAX_VLAN = 4094
_BASE36 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_IOC_50, _DAY_50 = "3", "0"
_IOC_42, _DAY_42 = 0, 99998


def token_prefix(seconds: int) -> str:
    """Six characters that no earlier start of the day used: OUCH 4.2 tokens are unique for the day, not for a
    process."""
    text = ""
    for _ in range(_TOKEN_PREFIX - 1):
        seconds, digit = divmod(seconds, len(_BASE36))
        text = _BASE36[digit] + text
    return "T" + text


def enter_order(session: OrderSession) -> bytes:
    """One Enter Order of the session's protocol; reference, side, quantity, symbol and price are placeholders."""
    if session.protocol == "ouch50":
        if session.firm:
            raise ConfigError(
                f"firm {session.firm!r}: OUCH 5.0 carries it as an option, which the fixed order template has "
                f"no room for. "
                "Leave it empty: the port's default firm is used."
            )
        return ouch50.EnterOrder(
            user_ref_num=1,
            side="B",
            quantity=1,
            symbol="X",
            price=1,
            tif=_IOC_50 if session.tif == "ioc" else _DAY_50,
            display="Y",
            capacity="P",
            iso="N",
            cross_type="N",
            cl_ord_id="TURBO-HFT",
            appendage=encode_options({}),
        ).encode()
    if session.protocol == "ouch42":
        return ouch42.EnterOrder(
            order_token=token_prefix(int(time.time())) + "00000001",
            side="B",
            shares=1,
            stock="X",
            price=1,
            tif=_IOC_42 if session.tif == "ioc" else _DAY_42,
            firm=session.firm,
            display="Y",
            capacity="P",
            iso="N",
            min_qty=0,
            cross_type="N",
            customer_type="N",
        ).encode()
    raise ConfigError(f"order protocol {session.protocol!r}: give ouch50 or ouch42.")


def order_template(session: OrderSession) -> Any:
    """A filled ``struct hft_template``. Raises ConfigError or MalformedMessage for values that no frame can carry."""
    if session.vlan is not None and not 1 <= session.vlan <= _MAX_VLAN:
        raise ConfigError(f"vlan {session.vlan}: give 1 to {_MAX_VLAN}.")
    message = ufo.encode_upstream(ufo.Unsequenced(enter_order(session)))
    frame = udp_frame(
        src_mac=session.local_mac,
        dst_mac=session.remote_mac,
        src=session.local,
        dst=session.remote,
        payload=message,
        vlans=() if session.vlan is None else (session.vlan,),
    )
    template = ffi.new("struct hft_template *")
    template.protocol = lib.HFT_OUCH50 if session.protocol == "ouch50" else lib.HFT_OUCH42
    template.headers_len = len(frame) - len(message)
    template.msg_len = len(message)
    ffi.memmove(template.headers, frame, template.headers_len)
    ffi.memmove(template.msg, message, len(message))
    return template
