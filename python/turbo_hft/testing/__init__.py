"""Unit-test an XDP program from Python: run frames through the loaded program, with no device and no traffic.

As a pytest plugin it gives the fixture ``hook``::

    def test_a_foreign_frame_passes(hook):
        result = hook.run(bytes(60))
        assert result.verdict is Verdict.PASS and result.frame == bytes(60)

`turbo_hft.testing.strategies` holds hypothesis strategies for frames.
"""

from turbo_hft.testing.hook import Hook, RunResult, Verdict

__all__ = ["Hook", "RunResult", "Verdict"]
