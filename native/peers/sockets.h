/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the responders on sockets share: a datagram into the pipeline, an order out of it. */
#ifndef HFT_PEERS_SOCKETS_H
#define HFT_PEERS_SOCKETS_H

#include <errno.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/types.h>

#include "pipeline.h"

/* Nothing there, or somebody else's trouble that an earlier send of ours met: no reason to stop. */
static inline bool harmless(int error)
{
	return error == EAGAIN || error == EINTR || error == ECONNREFUSED;
}

static inline void send_order(int entry, unsigned int length)
{
	/* An order that the kernel does not take is as lost as one that the wire loses: the exchange never answers it. */
	(void)!send(entry, hft_pipeline_order(), length, MSG_DONTWAIT);
}

/* A feed packet of `length` bytes in rx; whether it brought an order. */
static inline bool take_feed(int entry, unsigned int length)
{
	unsigned int order = hft_pipeline_feed(length);

	if (order)
		send_order(entry, order);
	return order;
}

/* One reply, if there is any: 1, 0 = none, or a negative errno value. */
static inline int poll_reply(int entry)
{
	ssize_t length = recv(entry, hft_pipeline_rx(), HFT_PIPELINE_ROOM, MSG_DONTWAIT);

	if (length < 0)
		return harmless(errno) ? 0 : -errno;
	hft_pipeline_reply(length);
	return 1;
}

/* Those that are there, as long as one is waited for. */
static inline int poll_replies(int entry)
{
	int found = 1;

	while (found > 0 && hft_pipeline_in_flight())
		found = poll_reply(entry);
	return found < 0 ? found : 0;
}

#endif
