"""What an engine is run with: one typed object, from a TOML file or from the command line's options."""
