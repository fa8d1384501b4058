/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Drain the event ring into an array. The hook never wakes a reader, so waiting is polling. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <bpf/libbpf.h>

#include "hft/limits.h"
#include "hft/abi.h"

#include "hft.h"

#define POLL_INTERVAL_NS 50000
#define BATCH_FULL (-ENOSPC)

struct hft_ring {
	struct ring_buffer *buffer;
	struct hft_event *events;
	int count;
	int room;
};

static int take(void *context, void *record, size_t length)
{
	struct hft_ring *ring = context;

	if (length != sizeof(struct hft_event))
		return 0;
	memcpy(&ring->events[ring->count++], record, sizeof(struct hft_event));
	/* a negative value stops the drain after this record, which counts as read */
	return ring->count == ring->room ? BATCH_FULL : 0;
}

struct hft_ring *hft_ring_open(int map_fd, int *error)
{
	struct hft_ring *ring = calloc(1, sizeof(*ring));

	if (!ring) {
		*error = -ENOMEM;
		return NULL;
	}
	ring->buffer = ring_buffer__new(map_fd, take, ring, NULL);
	if (!ring->buffer) {
		*error = -errno;
		free(ring);
		return NULL;
	}
	return ring;
}

void hft_ring_close(struct hft_ring *ring)
{
	if (!ring)
		return;
	ring_buffer__free(ring->buffer);
	free(ring);
}

int hft_ring_drain(struct hft_ring *ring, struct hft_event *events, int room)
{
	int error;

	if (room <= 0)
		return 0;
	ring->events = events;
	ring->count = 0;
	ring->room = room;
	error = ring_buffer__consume(ring->buffer);
	return error < 0 && error != BATCH_FULL ? error : ring->count;
}

int hft_ring_wait(struct hft_ring *ring, struct hft_event *events, int room, unsigned long long timeout_ns)
{
	const struct timespec pause = { .tv_nsec = POLL_INTERVAL_NS };
	struct timespec now;
	unsigned long long end;
	int count;

	clock_gettime(CLOCK_MONOTONIC, &now);
	end = now.tv_sec * 1000000000ULL + now.tv_nsec + timeout_ns;
	for (;;) {
		count = hft_ring_drain(ring, events, room);
		clock_gettime(CLOCK_MONOTONIC, &now);
		if (count || now.tv_sec * 1000000000ULL + now.tv_nsec >= end)
			return count;
		nanosleep(&pause, NULL);
	}
}
