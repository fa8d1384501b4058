/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <stdint.h>
#include <time.h>
#include <sys/socket.h>

#include "race.h"

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000ULL + now.tv_nsec;
}

/* A whole order: when it was here, 0 = it did not come in time. Negative errno value in *error. */
static uint64_t await(struct hft_race *race, uint64_t until, int *error)
{
	uint32_t have = 0;

	for (;;) {
		uint8_t bytes[512];
		ssize_t got = recv(race->orders, bytes, race->order_len - have, MSG_DONTWAIT);
		uint64_t now = now_ns();

		if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) {
			*error = got ? -errno : -EPIPE;
			return 0;
		}
		have += got > 0 ? (uint32_t)got : 0;
		if (have == race->order_len)
			return now;
		if (now >= until)
			return 0;
	}
}

int hft_race_run(struct hft_race *race)
{
	uint32_t begin = 0;
	int error = 0;

	race->answered = 0;
	for (uint32_t i = 0; i < race->rounds && !error; i++) {
		uint32_t end = race->frame_ends[i];
		uint64_t start = now_ns(), seen;

		if (send(race->feed, race->frames + begin, end - begin, 0) < 0)
			return -errno;
		begin = end;
		seen = await(race, start + race->timeout_ns, &error);
		race->taken_ns[i] = seen ? seen - start : 0;
		if (!seen)
			continue;
		if (send(race->orders, race->replies + (size_t)race->answered * race->reply_len, race->reply_len,
			 MSG_NOSIGNAL) < 0)
			return -errno;
		race->answered++;
		for (seen = now_ns(); now_ns() - seen < race->pause_ns;)
			;
	}
	return error;
}
