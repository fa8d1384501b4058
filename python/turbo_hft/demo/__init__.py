"""The main job: lab, exchange, engine, a bounded time of trading, three ledgers held against each other, latency."""
