// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Non-blocking sockets, asked again and again: no wake-up, one system call a look. */
#include "sockets.h"

#include "peers.h"

/* `flags` of the feed's recv() when no order is open. */
static int run(int feed, int entry, int flags)
{
	while (!hft_pipeline_ended()) {
		bool waiting = hft_pipeline_in_flight(), sent = false;
		ssize_t length = recv(feed, hft_pipeline_rx(), HFT_PIPELINE_ROOM, waiting ? MSG_DONTWAIT : flags);

		if (length >= 0)
			sent = take_feed(entry, length);
		else if (!harmless(errno))
			return -errno;
		if (waiting && !sent) {
			int error = length >= 0 ? poll_replies(entry) : poll_reply(entry);

			if (error < 0)
				return error;
		}
	}
	return 0;
}

int hft_peer_busy(int feed, int entry)
{
	return run(feed, entry, MSG_DONTWAIT);
}

/* While an order is open both sockets have to be looked at, and a look at an empty one polls the device too. */
int hft_peer_busy_poll(int feed, int entry)
{
	return run(feed, entry, 0);
}
