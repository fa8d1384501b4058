/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* An acknowledgement that the hook held back is delivered again, once the kernel's connection has what it acknowledges. */
#ifndef HFT_DELEGATED_ACK_H
#define HFT_DELEGATED_ACK_H

#include <stdint.h>

#include "merge.h"

/* Where it is to come in, and the headers up to IPv4's end of a frame of the peer, lengths and checksums left out. */
struct ack_way {
	int pass_fd; /* a program that says XDP_PASS */
	uint32_t ifindex;
	uint32_t ethernet_len; /* 14, 18 or 22 */
	uint8_t ethernet[32];
};

struct ack_copy {
	uint64_t version; /* of the newest that was delivered whole */
	uint64_t delivered;
	uint64_t failed;
	uint32_t newest; /* acknowledged to the kernel by us */
};

/* Deliver what is held back, as far as it is merged. 0, or a negative errno value of the kernel's. */
int ack_deliver(int socket, struct hft_tcp_wire *wire, const struct ack_way *way, struct ack_copy *copy);

#endif
