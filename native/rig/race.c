/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <time.h>
#include <sys/socket.h>

#include "race.h"

#define ORDER_ROOM 512

struct run {
	struct hft_race *race;
	uint32_t have; /* bytes of the order that is coming */
	uint8_t order[ORDER_ROOM];
};

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000ULL + now.tv_nsec;
}

/* One look at the stream: 1 when an order is whole, 0 when none is yet, or a negative errno value. */
static int look(struct run *run)
{
	struct hft_race *race = run->race;
	ssize_t got = recv(race->orders, run->order + run->have, race->order_len - run->have, MSG_DONTWAIT);

	if (got == 0)
		return -EPIPE;
	if (got < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	run->have += (uint32_t)got;
	if (run->have < race->order_len)
		return 0;
	run->have = 0;
	return 1;
}

static int answer(struct hft_race *race)
{
	const uint8_t *reply = race->replies + (size_t)race->answered * race->reply_len;

	if (race->answered == race->rounds)
		return -EPROTO;
	race->answered++;
	return send(race->orders, reply, race->reply_len, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

/* What came after its tick was given up must not be taken for the next one's. */
static int take_late(struct run *run)
{
	int got, error = 0;

	while (!error && (got = look(run)) != 0) {
		if (got < 0)
			return got;
		run->race->late++;
		error = answer(run->race);
	}
	return error;
}

static int play_round(struct run *run, uint32_t number, const uint8_t *tick, uint32_t length)
{
	struct hft_race *race = run->race;
	uint64_t start = now_ns(), now;
	int got;

	if (send(race->feed, tick, length, 0) < 0)
		return -errno;
	do {
		got = look(run);
		now = now_ns();
	} while (!got && now - start < race->timeout_ns);
	if (got < 0)
		return got;
	race->taken_ns[number] = got ? now - start : 0;
	if (!got)
		return 0;
	memcpy(race->taken + (size_t)number * race->order_len, run->order, race->order_len);
	return answer(race);
}

int hft_race_run(struct hft_race *race)
{
	struct run run = { .race = race };
	const uint8_t *frame = race->frames;

	if (race->order_len > ORDER_ROOM)
		return -EINVAL;
	race->answered = race->late = 0;
	for (uint32_t i = 0; i < race->rounds; i++) {
		const uint8_t *gone = race->frames + race->frame_ends[2 * i],
			      *end = race->frames + race->frame_ends[2 * i + 1];
		int error = take_late(&run);
		uint64_t over;

		if (!error)
			error = play_round(&run, i, frame, (uint32_t)(gone - frame));
		if (error)
			return error;
		if (send(race->feed, gone, (size_t)(end - gone), 0) < 0)
			return -errno;
		frame = end;
		for (over = now_ns(); now_ns() - over < race->pause_ns;)
			;
	}
	return 0;
}
