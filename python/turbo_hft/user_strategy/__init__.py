"""A user's own strategy: a C function in an object of its own, linked into the engine while it runs.

`engine.load_strategy("mine.o")` puts it in force; `engine.user` tells which one is, and has its parameters. See
docs/strategies.md.
"""

from turbo_hft.user_strategy.generations import Generation
from turbo_hft.user_strategy.params import ParamArray, Params
from turbo_hft.user_strategy.user import UserStrategy

__all__ = ["Generation", "ParamArray", "Params", "UserStrategy"]
