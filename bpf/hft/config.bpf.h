/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What is fixed at load. The struct, with one comment a knob, is in abi.h; these are the defaults of a bare load. */
#ifndef HFT_CONFIG_BPF_H
#define HFT_CONFIG_BPF_H

/* What carries OUCH in a bare load: for the kernel matrix, which loads both. */
#ifndef HFT_DEFAULT_TRANSPORT
#define HFT_DEFAULT_TRANSPORT HFT_TRANSPORT_UFO
#endif

const volatile struct hft_config config SEC(".rodata.config") = {
	.abi_version = HFT_ABI_VERSION,
	.verify_checksums = 1,
	.clock = HFT_CLOCK_MONOTONIC,
	.time_all = 0,
	.symbols = HFT_DEFAULT_SYMBOLS,
	.order_mask = HFT_DEFAULT_ORDER_BUCKETS - 1,
	.spill_mask = HFT_DEFAULT_SPILL_BUCKETS - 1,
	.level_mask = HFT_DEFAULT_LEVEL_BLOCKS - 1,
	.ladder_mask = HFT_DEFAULT_LADDER_BUCKETS - 1,
	.kept_mask = HFT_DEFAULT_KEPT - 1,
	.feeds = HFT_DEFAULT_FEEDS,
	.transport = HFT_DEFAULT_TRANSPORT,
	.hold_ns = 2000000,
	.crossed_ns = 1000000000,
};

#endif
