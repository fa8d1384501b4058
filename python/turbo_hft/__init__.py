"""Turbo-HFT: market data becomes an order inside the NIC driver hook; Python owns every decision about it, live."""
