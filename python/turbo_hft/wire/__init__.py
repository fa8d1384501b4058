"""Codecs of everything on the wire and in its recordings.

Ethernet to UDP, MoldUDP64, ITCH 5.0, SoupBinTCP, GLIMPSE, UFO, OUCH 5.0 and 4.2, BinaryFILE, pcapng, prices.

Each module is one format and stands alone. Decoders raise `turbo_hft.errors.MalformedMessage` for bytes that are no
message of the format, encoders for values that do not fit it, and neither raises anything else for bad data.
"""
