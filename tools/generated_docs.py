"""Every page and picture under docs/ that is made from code: `make docs` writes all of them, a test holds them current.

Another page is one more line in PAGES.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from tools import abi_doc, cli_doc, config_doc, control_doc, metrics_doc, picture, reasons_doc

ROOT = Path(__file__).resolve().parent.parent
PAGES: dict[str, Callable[[], str]] = {
    "docs/abi.md": abi_doc.document,
    "docs/cli.md": cli_doc.text,
    "docs/config.md": config_doc.text,
    "docs/control-socket.md": control_doc.text,
    "docs/metrics.md": metrics_doc.text,
    "docs/pipeline.svg": picture.text,
    "docs/reject-reasons.md": reasons_doc.text,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Write the pages that are named, or all."""
    parser = argparse.ArgumentParser(prog="python -m tools.generated_docs", description=__doc__)
    parser.add_argument("page", nargs="*", choices=[[], *PAGES], default=[], metavar="PAGE")
    for page in parser.parse_args(argv).page or PAGES:
        (ROOT / page).write_text(PAGES[page](), encoding="utf-8")
        print(page, file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
