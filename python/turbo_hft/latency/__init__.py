"""Tick-to-order latency: the engine and a standard bot on the same rig, with the same decision and the same bytes.

`probe` plays the exchange and measures, `bot` is the standard bot, `compare` runs them in turn and reports.
"""
