"""What was recorded of a market, messages or frames: to be looked at, or to be played again."""
