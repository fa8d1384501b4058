"""The order frame, complete, as the hook patches it: headers for one order session, one message of each action."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, TypeAlias

from turbo_hft._native import ffi, lib
from turbo_hft.addresses import OrderSession
from turbo_hft.errors import ConfigError
from turbo_hft.wire import ouch50, ufo
from turbo_hft.wire.frame import TCP_ACK, TCP_PSH, tcp_frame, udp_frame
from turbo_hft.wire.ouch_options import encode_options

if TYPE_CHECKING:
    from turbo_hft.wire import ouch42

_OUCH = 3  # where OUCH begins in a message of the template: behind its length and UFO's type
_TOKEN_PREFIX = 6
_TOKEN_DIGITS = 8
_MAX_VLAN = 4094
_ETHERNET, _TAG = 14, 4  # bytes of the headers
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


Message = ouch50.EnterOrder | ouch50.ReplaceOrder | ouch50.CancelOrder
Message42: TypeAlias = "ouch42.EnterOrder | ouch42.ReplaceOrder | ouch42.CancelOrder"


def messages(session: OrderSession) -> dict[int, bytes]:
    """By action, one message of the session's protocol: references, side, quantity, symbol and price are placeholders.

    Raises ConfigError or MalformedMessage for a session that no message can carry.
    """
    made = _ouch50(session) if session.protocol == "ouch50" else _ouch42(session)
    return {action: message.encode() for action, message in made.items()}


def _ouch50(session: OrderSession) -> dict[int, Message]:
    if session.firm:
        raise ConfigError(
            f"firm {session.firm!r}: OUCH 5.0 carries it as an option, which the fixed order template has no room for. "
            "Leave it empty: the port's default firm is used."
        )
    tif = _IOC_50 if session.tif == "ioc" else _DAY_50
    none = encode_options({})
    return {
        lib.HFT_ACTION_ENTER: ouch50.EnterOrder(
            user_ref_num=1,
            side="B",
            quantity=1,
            symbol="X",
            price=1,
            tif=tif,
            display="Y",
            capacity="P",
            iso="N",
            cross_type="N",
            cl_ord_id="TURBO-HFT",
            appendage=none,
        ),
        lib.HFT_ACTION_REPLACE: ouch50.ReplaceOrder(
            orig_user_ref_num=1,
            user_ref_num=2,
            quantity=1,
            price=1,
            tif=tif,
            display="Y",
            iso="N",
            cl_ord_id="TURBO-HFT",
            appendage=none,
        ),
        lib.HFT_ACTION_CANCEL: ouch50.CancelOrder(user_ref_num=1, quantity=0),
    }


def _ouch42(session: OrderSession) -> dict[int, Message42]:
    from turbo_hft.wire import ouch42

    if session.protocol != "ouch42":
        raise ConfigError(f"order protocol {session.protocol!r}: give ouch50 or ouch42.")
    tif = _IOC_42 if session.tif == "ioc" else _DAY_42
    prefix = session.token_prefix or token_prefix(int(time.time()))
    if len(prefix) != _TOKEN_PREFIX or not (prefix.isascii() and prefix.isalnum()):
        raise ConfigError(f"token_prefix {prefix!r}: give {_TOKEN_PREFIX} letters and digits, or leave it empty.")
    token = prefix + "00000001"
    return {
        lib.HFT_ACTION_ENTER: ouch42.EnterOrder(
            order_token=token,
            side="B",
            shares=1,
            stock="X",
            price=1,
            tif=tif,
            firm=session.firm,
            display="Y",
            capacity="P",
            iso="N",
            min_qty=0,
            cross_type="N",
            customer_type="N",
        ),
        lib.HFT_ACTION_REPLACE: ouch42.ReplaceOrder(
            existing_token=token,
            replacement_token=prefix + "00000002",
            shares=1,
            price=1,
            tif=tif,
            display="Y",
            iso="N",
            min_qty=0,
        ),
        lib.HFT_ACTION_CANCEL: ouch42.CancelOrder(order_token=token, shares=0),
    }


def cancel_message(template: Any, user_ref: int) -> bytes:
    """The OUCH message that cancels an order, to the byte as the hook patches it (docs/rules.md, rule 7)."""
    action = lib.HFT_ACTION_CANCEL
    message = bytearray(ffi.buffer(template.msg[action], template.msg_len[action]))[_OUCH:]
    if template.protocol == lib.HFT_OUCH50:
        message[1:5] = user_ref.to_bytes(4)
    else:
        at = 1 + _TOKEN_PREFIX
        message[at : at + _TOKEN_DIGITS] = f"{user_ref:0{_TOKEN_DIGITS}X}".encode()
    return bytes(message)


def _headers(session: OrderSession, timestamps: bool) -> bytes:
    """What stands in front of the messages of an order frame."""
    vlans = () if session.vlan is None else (session.vlan,)
    where: Any = {
        "src_mac": session.local_mac,
        "dst_mac": session.remote_mac,
        "src": session.local,
        "dst": session.remote,
        "vlans": vlans,
        "payload": b"",
    }
    if session.transport == "soupbintcp":
        return tcp_frame(**where, flags=TCP_ACK | TCP_PSH, timestamps=(0, 0) if timestamps else None)
    return udp_frame(**where)


def ethernet_back(session: OrderSession) -> bytes:
    """The Ethernet header of a frame that the exchange sends to `session`."""
    frame = _headers(session, False)
    end = _ETHERNET if session.vlan is None else _ETHERNET + _TAG
    return frame[6:12] + frame[:6] + frame[12:end]


def order_template(session: OrderSession, *, timestamps: bool = False) -> Any:
    """A filled ``struct hft_template``. `timestamps`: the segments of SoupBinTCP carry that option.

    Raises ConfigError or MalformedMessage for values that no frame can carry.
    """
    if session.vlan is not None and not 1 <= session.vlan <= _MAX_VLAN:
        raise ConfigError(f"vlan {session.vlan}: give 1 to {_MAX_VLAN}.")
    made = {action: ufo.encode_upstream(ufo.Unsequenced(ouch)) for action, ouch in messages(session).items()}
    frame = _headers(session, timestamps)
    template = ffi.new("struct hft_template *")
    template.protocol = lib.HFT_OUCH50 if session.protocol == "ouch50" else lib.HFT_OUCH42
    template.headers_len = len(frame)
    ffi.memmove(template.headers, frame, template.headers_len)
    for action, message in made.items():
        template.msg_len[action] = len(message)
        ffi.memmove(template.msg[action], message, len(message))
    return template
