"""The terminal view of an engine: `view` is the model, `terminal` and `plain` draw it, `live` keeps it moving."""
