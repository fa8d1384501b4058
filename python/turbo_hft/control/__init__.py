"""The control socket: how a person without capabilities, or a program, reads and steers an engine that `run` keeps."""
