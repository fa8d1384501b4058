"""Exit codes of every command; the help of `turbo-hft` lists them."""

from __future__ import annotations

OK = 0
FAILURE = 1
USAGE = 2
NOT_RUNNING = 3
INTERRUPTED = 130

EXPLAINED = """\
exit codes:
  0    done
  1    it failed; for `demo`: the ledgers differ or an event was lost;
       for `bench compare`: something became slower
  2    the command line or a value in it is wrong
  3    no engine is running where one was expected
  130  ended by Ctrl-C or SIGTERM, everything cleaned up"""
