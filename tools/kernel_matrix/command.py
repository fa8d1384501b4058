"""What the two commands of the kernel matrix have in common: where they run, how they end, and their exit codes."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable

from tools.kernel_matrix.errors import UNAVAILABLE, MatrixError, Unavailable


def ended(run: Callable[[], int], talk: Callable[[str], None]) -> int:
    """Exit code of a command; `talk` says why it is not what `run` returned."""
    if os.uname().machine != "x86_64":
        talk("the guests are x86-64 and run programs built here: use an x86-64 machine.")
        return UNAVAILABLE
    # A terminated run cleans up like an interrupted one.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        return run()
    except Unavailable as error:
        talk(str(error))
        return UNAVAILABLE
    except MatrixError as error:
        talk(str(error))
        return 1
    except KeyboardInterrupt:
        talk("interrupted")
        return 130
