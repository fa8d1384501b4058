"""Views of an engine: `view` is the model, `desk` what a face asks for, `terminal` and `plain` draw it."""
