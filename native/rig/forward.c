/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#define _GNU_SOURCE
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <poll.h>
#include <sys/socket.h>

#include "forward.h"

#define FRAME_BYTES 2048
#define WAITING 1024 /* frames that are kept back; at the bound the oldest goes at once */
#define ONE 1000000 /* ppm */
#define IPV4_TCP 6

struct waiting {
	uint64_t due_ns;
	uint32_t end; /* that it came in at */
	uint32_t length; /* 0 = free */
	uint8_t frame[FRAME_BYTES];
};

struct line {
	struct hft_forward *forward;
	uint64_t random;
	struct waiting *waiting;
};

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000ULL + now.tv_nsec;
}

/* xorshift64* */
static bool happens(struct line *line, uint32_t ppm)
{
	line->random ^= line->random >> 12;
	line->random ^= line->random << 25;
	line->random ^= line->random >> 27;
	return (uint32_t)((line->random * 0x2545f4914f6cdd1dULL) >> 32) % ONE < ppm;
}

static bool is_tcp(const uint8_t *frame, uint32_t length)
{
	return length > 34 && frame[12] == 0x08 && !frame[13] && frame[23] == IPV4_TCP;
}

static int pass(struct line *line, uint32_t end, const uint8_t *frame, uint32_t length)
{
	while (send(line->forward->ends[!end], frame, length, 0) < 0) {
		if (errno != EINTR && errno != ENOBUFS && errno != EAGAIN)
			return -errno;
	}
	line->forward->forwarded[end]++;
	return 0;
}

static struct waiting *place_for(struct line *line)
{
	struct waiting *oldest = line->waiting;

	for (uint32_t i = 0; i < WAITING; i++) {
		if (!line->waiting[i].length)
			return &line->waiting[i];
		if (line->waiting[i].due_ns < oldest->due_ns)
			oldest = &line->waiting[i];
	}
	pass(line, oldest->end, oldest->frame, oldest->length);
	return oldest;
}

static int pass_later(struct line *line, uint32_t end, const uint8_t *frame, uint32_t length, uint64_t after_ns)
{
	struct waiting *place;

	if (!after_ns)
		return pass(line, end, frame, length);
	place = place_for(line);
	place->due_ns = now_ns() + after_ns;
	place->end = end;
	place->length = length;
	memcpy(place->frame, frame, length);
	return 0;
}

static int handle(struct line *line, uint32_t end, const uint8_t *frame, uint32_t length)
{
	struct hft_forward *forward = line->forward;
	uint64_t after_ns = forward->delay_ns;
	int error;

	if (!is_tcp(frame, length))
		return pass(line, end, frame, length);
	if (happens(line, forward->lost_ppm[end])) {
		forward->lost[end]++;
		return 0;
	}
	if (happens(line, forward->late_ppm[end])) {
		forward->late[end]++;
		after_ns += forward->late_ns;
	}
	error = pass_later(line, end, frame, length, after_ns);
	if (!error && happens(line, forward->doubled_ppm[end])) {
		forward->doubled[end]++;
		error = pass_later(line, end, frame, length, after_ns);
	}
	return error;
}

/* What is due, in the order of its times. */
static int release(struct line *line)
{
	for (;;) {
		uint64_t now = now_ns();
		struct waiting *next = NULL;
		int error;

		for (uint32_t i = 0; i < WAITING; i++) {
			struct waiting *one = &line->waiting[i];

			if (one->length && one->due_ns <= now && (!next || one->due_ns < next->due_ns))
				next = one;
		}
		if (!next)
			return 0;
		error = pass(line, next->end, next->frame, next->length);
		next->length = 0;
		if (error)
			return error;
	}
}

int hft_forward_run(struct hft_forward *forward, uint32_t *stop)
{
	struct line line = { .forward = forward, .random = forward->seed | 1 };
	struct pollfd ready[2] = { { .fd = forward->ends[0], .events = POLLIN },
				   { .fd = forward->ends[1], .events = POLLIN } };
	int error = 0;

	line.waiting = calloc(WAITING, sizeof(*line.waiting));
	if (!line.waiting)
		return -ENOMEM;
	while (!error && !__atomic_load_n(stop, __ATOMIC_RELAXED)) {
		const struct timespec most = { .tv_nsec = 50000 };

		ppoll(ready, 2, &most, NULL);
		for (uint32_t end = 0; end < 2 && !error; end++) {
			uint8_t frame[FRAME_BYTES];
			ssize_t length = recv(forward->ends[end], frame, sizeof(frame), MSG_DONTWAIT);

			if (length > 0)
				error = handle(&line, end, frame, (uint32_t)length);
			else if (length < 0 && errno != EAGAIN && errno != EINTR && errno != ENETDOWN)
				error = -errno;
		}
		if (!error)
			error = release(&line);
	}
	free(line.waiting);
	return error;
}
