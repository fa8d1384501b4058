"""Write docs/web.png: the web face over an engine that trades against the simulator, in a browser without a network.

Run it with the tests' own rig on the path: PYTHONPATH=tests python -m tools.web_screenshot FILE.png
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from browser_rig import MISSING, TRADE, browser, rig, text, until

SECONDS = 40
WIDTH, HEIGHT = 1440, 1420
SYMBOLS = (
    "AAPL:buy_below=163.08,sell_above=163.14,base_qty=20,cap_qty=60,max_long=1000,max_short=1000,short_ok=yes",
    "MSFT:buy_below=105.98,sell_above=106.04,base_qty=20,cap_qty=60,max_long=1000,max_short=1000,short_ok=yes",
)


def main() -> int:
    """Trade, look, write."""
    if MISSING is not None:
        print(MISSING, file=sys.stderr)
        return 1
    exchange = ["--symbols", "AAPL=163.20,MSFT=106.00"]
    with tempfile.TemporaryDirectory() as directory, rig(Path(directory), *SYMBOLS, exchange=exchange) as place:

        def picture() -> None:
            with browser(WIDTH, HEIGHT + 140, dark=True) as page:
                page.get(f"{place.url}#token={TRADE}")
                until(lambda: text(page, "#state") == "TRADING", "it trades")
                size = {"width": WIDTH, "height": HEIGHT, "deviceScaleFactor": 1, "mobile": False}
                page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
                time.sleep(SECONDS)
                page.save_screenshot(sys.argv[1])

        place.run(picture)
    return 0


if __name__ == "__main__":
    sys.exit(main())
