// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* As busy.c, with order entry over SoupBinTCP: what a trader without a hook does on the same connection. */
#include <string.h>

#include "sockets.h"

#include "peers.h"

#define STREAM_BYTES 65536
#define UFO_HEADER 7

static unsigned char stream[STREAM_BYTES];
static size_t held; /* bytes of it */
static unsigned int number = 1; /* of the next reply */

/* A reply, as the pipeline takes it: the datagram that UFO would have carried. */
static void take_reply(const unsigned char *message, unsigned int length)
{
	unsigned char *rx = hft_pipeline_rx();
	const unsigned char header[UFO_HEADER + 2] = { 'S',
						       (unsigned char)(number >> 24),
						       (unsigned char)(number >> 16),
						       (unsigned char)(number >> 8),
						       (unsigned char)number,
						       0,
						       1,
						       (unsigned char)(length >> 8),
						       (unsigned char)length };

	if (length > HFT_PIPELINE_ROOM - sizeof(header))
		return;
	memcpy(rx, header, sizeof(header));
	memcpy(rx + sizeof(header), message, length);
	hft_pipeline_reply(sizeof(header) + length);
	number++;
}

/* What there is of the stream: 0 or a negative errno value. */
static int take_stream(int entry)
{
	ssize_t got = recv(entry, stream + held, STREAM_BYTES - held, MSG_DONTWAIT);
	size_t at = 0;

	if (got == 0)
		return -EPIPE;
	if (got < 0)
		return harmless(errno) ? 0 : -errno;
	held += (size_t)got;
	while (held - at >= 3) {
		unsigned int length = (unsigned int)stream[at] << 8 | stream[at + 1];

		if (held - at < 2 + length)
			break;
		if (stream[at + 2] == 'S')
			take_reply(stream + at + 3, length - 1);
		at += 2 + length;
	}
	memmove(stream, stream + at, held - at);
	held -= at;
	return 0;
}

int hft_peer_busy_tcp(int feed, int entry)
{
	held = 0;
	number = 1;
	while (!hft_pipeline_ended()) {
		ssize_t length = recv(feed, hft_pipeline_rx(), HFT_PIPELINE_ROOM, MSG_DONTWAIT);
		bool sent = false;

		if (length >= 0)
			sent = take_feed(entry, length);
		else if (!harmless(errno))
			return -errno;
		if (hft_pipeline_in_flight() && !sent) {
			int error = take_stream(entry);

			if (error < 0)
				return error == -EPIPE ? 0 : error;
		}
	}
	return 0;
}
