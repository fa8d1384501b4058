// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Blocking sockets: a thread that sleeps until there is something. */
#include <poll.h>

#include "sockets.h"

#include "peers.h"

/* While an order is open either socket may be the next. */
static int wait_for_both(int feed, int entry, bool *feed_ready)
{
	struct pollfd both[] = { { .fd = feed, .events = POLLIN }, { .fd = entry, .events = POLLIN } };

	if (poll(both, 2, -1) < 0)
		return errno == EINTR ? 0 : -errno;
	*feed_ready = both[0].revents;
	/* The feed first: there may be something to decide. */
	return both[1].revents && !*feed_ready ? poll_replies(entry) : 0;
}

int hft_peer_blocking(int feed, int entry)
{
	while (!hft_pipeline_ended()) {
		bool feed_ready = true, sent;
		ssize_t length;
		int error;

		if (hft_pipeline_in_flight()) {
			error = wait_for_both(feed, entry, &feed_ready);
			if (error)
				return error;
			if (!feed_ready)
				continue;
		}
		length = recv(feed, hft_pipeline_rx(), HFT_PIPELINE_ROOM, 0);
		if (length < 0) {
			if (!harmless(errno))
				return -errno;
			continue;
		}
		sent = take_feed(entry, length);
		if (!sent && hft_pipeline_in_flight()) {
			error = poll_replies(entry);
			if (error)
				return error;
		}
	}
	return 0;
}
