// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* As busy.c, with many packets a system call: the first into the pipeline's own buffer, the others beside it. */
#define _GNU_SOURCE
#include <string.h>

#include "sockets.h"

#include "peers.h"

#define BATCH 32

static unsigned char beside[BATCH][HFT_PIPELINE_ROOM];

int hft_peer_recvmmsg(int feed, int entry)
{
	struct mmsghdr messages[BATCH] = {};
	struct iovec places[BATCH];

	for (int i = 0; i < BATCH; i++) {
		places[i] = (struct iovec){ i ? beside[i] : hft_pipeline_rx(), HFT_PIPELINE_ROOM };
		messages[i].msg_hdr = (struct msghdr){ .msg_iov = &places[i], .msg_iovlen = 1 };
	}
	while (!hft_pipeline_ended()) {
		bool waiting = hft_pipeline_in_flight(), sent = false;
		int many = recvmmsg(feed, messages, BATCH, MSG_DONTWAIT, NULL), error = 0;

		if (many < 0 && !harmless(errno))
			return -errno;
		for (int i = 0; i < many; i++) {
			if (i) {
				/* An order may have gone out with the packet before this one: its reply is due first. */
				if (!sent && hft_pipeline_in_flight()) {
					error = poll_replies(entry);
					if (error)
						return error;
				}
				memcpy(hft_pipeline_rx(), beside[i], messages[i].msg_len);
			}
			sent = take_feed(entry, messages[i].msg_len);
		}
		if (waiting && !sent)
			error = many > 0 ? poll_replies(entry) : poll_reply(entry);
		if (error < 0)
			return error;
	}
	return 0;
}
