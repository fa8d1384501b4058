// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * io_uring: one multishot receive a socket, which the kernel fills buffers of ours for until it is told otherwise; orders are sent by the
 * same ring. Nothing is submitted again for the next packet, and several packets cost one entry into the kernel.
 */
#include <liburing.h>
#include <stdlib.h>
#include <string.h>

#include "sockets.h"

#include "peers.h"

#define ENTRIES 256
#define BUFFERS 1024 /* a power of two */
#define GROUP 0

enum { FEED = 1, ENTRY, SENT };

struct responder {
	struct io_uring ring;
	struct io_uring_buf_ring *free;
	unsigned char *buffers;
	int feed;
	int entry;
};

/* The thread asks for what is to be completed; to be interrupted for it costs twice the whole way of an order. */
static int open_ring(struct io_uring *ring)
{
	struct io_uring_params parameters = { .flags = IORING_SETUP_CQSIZE | IORING_SETUP_SUBMIT_ALL |
						       IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN,
					      .cq_entries = 4 * BUFFERS };

	return io_uring_queue_init_params(ENTRIES, ring, &parameters);
}

int hft_peer_uring_check(void)
{
	struct io_uring ring;
	int error = open_ring(&ring);

	if (!error)
		io_uring_queue_exit(&ring);
	return error;
}

static void give_back(struct responder *responder, unsigned int buffer)
{
	io_uring_buf_ring_add(responder->free, responder->buffers + (size_t)buffer * HFT_PIPELINE_ROOM,
			      HFT_PIPELINE_ROOM, buffer, io_uring_buf_ring_mask(BUFFERS), 0);
	io_uring_buf_ring_advance(responder->free, 1);
}

static int open_buffers(struct responder *responder)
{
	struct io_uring_buf_reg registration = { .ring_entries = BUFFERS, .bgid = GROUP };

	responder->buffers = calloc(BUFFERS, HFT_PIPELINE_ROOM);
	responder->free = aligned_alloc(4096, BUFFERS * sizeof(struct io_uring_buf));
	if (!responder->buffers || !responder->free)
		return -ENOMEM;
	memset(responder->buffers, 1, (size_t)BUFFERS * HFT_PIPELINE_ROOM); /* the pages are there */
	registration.ring_addr = (unsigned long)responder->free;
	io_uring_buf_ring_init(responder->free);
	for (unsigned int i = 0; i < BUFFERS; i++)
		give_back(responder, i);
	return io_uring_register_buf_ring(&responder->ring, &registration, 0);
}

static struct io_uring_sqe *new_entry(struct responder *responder)
{
	struct io_uring_sqe *entry = io_uring_get_sqe(&responder->ring);

	if (!entry) {
		io_uring_submit(&responder->ring);
		entry = io_uring_get_sqe(&responder->ring);
	}
	return entry;
}

static void receive(struct responder *responder, int what)
{
	struct io_uring_sqe *entry = new_entry(responder);

	io_uring_prep_recv_multishot(entry, what == FEED ? responder->feed : responder->entry, NULL, 0, 0);
	entry->flags |= IOSQE_BUFFER_SELECT;
	entry->buf_group = GROUP;
	entry->user_data = what;
}

static void order(struct responder *responder, unsigned int length)
{
	struct io_uring_sqe *entry = new_entry(responder);

	io_uring_prep_send(entry, responder->entry, hft_pipeline_order(), length, MSG_DONTWAIT);
	entry->flags |= IOSQE_CQE_SKIP_SUCCESS;
	entry->user_data = SENT;
	io_uring_submit(&responder->ring); /* sent when this returns */
}

/* 0, or the error that ends the run. */
static int complete(struct responder *responder, int what, int result, unsigned int flags)
{
	if (flags & IORING_CQE_F_BUFFER) {
		unsigned int buffer = flags >> IORING_CQE_BUFFER_SHIFT;

		if (result >= 0)
			memcpy(hft_pipeline_rx(), responder->buffers + (size_t)buffer * HFT_PIPELINE_ROOM, result);
		give_back(responder, buffer);
	}
	if (what == SENT)
		return 0;
	if (!(flags & IORING_CQE_F_MORE)) {
		if (result < 0 && result != -ENOBUFS && !harmless(-result))
			return result;
		receive(responder, what);
	}
	if (result >= 0 && what == FEED) {
		unsigned int length = hft_pipeline_feed(result);

		if (length)
			order(responder, length);
	} else if (result >= 0) {
		hft_pipeline_reply(result);
	}
	return 0;
}

static int run(struct responder *responder)
{
	receive(responder, FEED);
	receive(responder, ENTRY);
	io_uring_submit(&responder->ring);
	while (!hft_pipeline_ended()) {
		struct io_uring_cqe *found;

		io_uring_submit_and_get_events(&responder->ring);
		while (!hft_pipeline_ended() && !io_uring_peek_cqe(&responder->ring, &found)) {
			int what = found->user_data, result = found->res, error;
			unsigned int flags = found->flags;

			io_uring_cqe_seen(&responder->ring, found);
			error = complete(responder, what, result, flags);
			if (error)
				return error;
		}
	}
	return 0;
}

int hft_peer_uring(int feed, int entry)
{
	struct responder responder = { .feed = feed, .entry = entry };
	int error = open_ring(&responder.ring);

	if (error)
		return error;
	error = open_buffers(&responder);
	if (!error)
		error = run(&responder);
	io_uring_queue_exit(&responder.ring);
	free(responder.buffers);
	free(responder.free);
	return error;
}
