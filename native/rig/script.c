// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The measuring loop of the latency lab: see script.h. Layouts: MoldUDP64 1.00, UFO 1.0, OUCH 5.0. */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "frame.h"
#include "wire.h"
#include "script.h"

enum {
	ORDER = 3, /* Enter Order behind its length prefix and the UFO type */
	ORDER_FIXED = 47,
	ORDER_QUANTITY = ORDER + 6,
	ORDER_SYMBOL = ORDER + 10, /* symbol and price lie behind each other, as in `keys` */
	KEY_BYTES = 16,

	REPLY_SEQUENCE = FRAME_HEADERS + 1,
	ACCEPTED = FRAME_HEADERS + 9, /* UFO header 7, length of the first block 2 */
	CANCELED = ACCEPTED + 64 + 2,
	REPLY_BYTES = CANCELED + 18,
	REPLIES = 2,

	MOLD_SEQUENCE = 10,
	DATAGRAM_BYTES = 512,
	MOST_UNDER_WAY = 256, /* triggers that an order is looked for among */
	TRIES = 1000000,
	LAST_MOMENT_NS = 1500,
};

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

struct run {
	struct hft_script *script;
	uint32_t oldest; /* trigger that may still be answered */
	uint32_t sent; /* triggers */
	uint64_t *sequences; /* of the triggers' packets */
	uint64_t order_ref;
	uint64_t ends_ns;
};

void hft_script_seal(uint8_t *frames, const struct hft_script_step *steps, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		uint8_t *ipv4 = frames + steps[i].offset + ETHERNET_BYTES;

		frame_set_lengths(ipv4, steps[i].length - FRAME_HEADERS);
		frame_seal(ipv4);
	}
}

static int transmit(struct run *run, const uint8_t *frame, uint32_t length)
{
	int error = -EAGAIN;

	for (uint32_t i = 0; i < TRIES && (error == -EAGAIN || error == -ENOBUFS); i++)
		error = hft_wire_send(run->script->wire, frame, length);
	return error;
}

/* Accepted echoes the order, Canceled gives all of it back: the participant is free for its next one. */
static int answer(struct run *run, const uint8_t *datagram)
{
	struct hft_script *script = run->script;
	const uint8_t *order = datagram + ORDER;
	uint8_t *accepted = script->reply + ACCEPTED, *canceled = script->reply + CANCELED;

	put_be(script->reply + REPLY_SEQUENCE, script->reply_seq, 4);
	put_be(accepted + 1, script->exchange_ns, 8);
	memcpy(accepted + 9, order + 1, 27); /* reference, side, quantity, symbol, price, time in force, display */
	put_be(accepted + 36, ++run->order_ref, 8);
	memcpy(accepted + 44, order + 28, 3); /* capacity, ISO, cross type */
	memcpy(accepted + 48, order + 31, 14); /* client order id */
	put_be(canceled + 1, script->exchange_ns, 8);
	memcpy(canceled + 9, order + 1, 4); /* reference */
	memcpy(canceled + 13, order + 6, 4); /* quantity */
	script->reply_seq += REPLIES;
	script->exchange_ns++;
	frame_seal(script->reply + ETHERNET_BYTES);
	return transmit(run, script->reply, script->reply_length);
}

static void took(struct run *run, uint32_t trigger, const uint8_t *datagram, int length, uint64_t seen, uint64_t came)
{
	struct hft_script *script = run->script;
	uint32_t kept = length < HFT_SCRIPT_ORDER_BYTES ? (uint32_t)length : HFT_SCRIPT_ORDER_BYTES;

	script->seen_ns[trigger] = seen;
	script->came_ns[trigger] = came;
	script->order_length[trigger] = (uint16_t)length;
	memcpy(script->orders + (size_t)trigger * HFT_SCRIPT_ORDER_BYTES, datagram, kept);
	while (run->oldest < run->sent && script->seen_ns[run->oldest])
		run->oldest++;
}

/* The oldest trigger under way with that symbol and price. */
static int find_trigger(struct run *run, const uint8_t *key, uint32_t *found)
{
	const struct hft_script *script = run->script;

	if (run->sent - run->oldest > MOST_UNDER_WAY)
		run->oldest = run->sent - MOST_UNDER_WAY;
	for (uint32_t i = run->oldest; i < run->sent; i++) {
		if (!script->seen_ns[i] && !memcmp(script->keys + (size_t)i * KEY_BYTES, key, KEY_BYTES)) {
			*found = i;
			return 1;
		}
	}
	return 0;
}

static int find_echo(struct run *run, const uint8_t *datagram, int length, uint32_t *found)
{
	uint64_t sequence = length < MOLD_SEQUENCE + 8 ? 0 : get_be(datagram + MOLD_SEQUENCE, 8);

	for (uint32_t i = run->oldest; sequence && i < run->sent; i++) {
		if (!run->script->seen_ns[i] && run->sequences[i] == sequence) {
			*found = i;
			return 1;
		}
	}
	return 0;
}

/* One look at the wire: was there anything? */
static int look(struct run *run, int *any)
{
	struct hft_script *script = run->script;
	uint8_t datagram[DATAGRAM_BYTES];
	uint64_t came = 0, seen = 0;
	int length = hft_wire_receive(script->wire, datagram, sizeof(datagram), &seen, &came), error = 0;
	uint32_t trigger;

	*any = length != -EAGAIN;
	if (length == -EAGAIN || !length)
		return 0;
	if (length == -EBADMSG) {
		script->bad++;
		return 0;
	}
	if (length < 0)
		return length;
	if (script->echo) {
		/* The packets between the triggers come back too. */
		if (find_echo(run, datagram, length, &trigger))
			took(run, trigger, datagram, length, seen, came);
		return 0;
	}
	if (length < ORDER + ORDER_FIXED || datagram[2] != 'U' || datagram[ORDER] != 'O')
		return 0;
	if (find_trigger(run, datagram + ORDER_SYMBOL, &trigger))
		took(run, trigger, datagram, length, seen, came);
	else
		script->late++;
	/* Several orders in one datagram: each is answered, the first one counts. */
	for (int at = 0; !error && at + ORDER + ORDER_FIXED <= length; at += 2 + (int)get_be(datagram + at, 2)) {
		if (at && find_trigger(run, datagram + at + ORDER_SYMBOL, &trigger))
			took(run, trigger, datagram + at, length - at, seen, came);
		error = answer(run, datagram + at);
	}
	return error;
}

/* Take all that is there. */
static int drain(struct run *run)
{
	int any = 1, error = 0;

	while (!error && any)
		error = look(run, &any);
	return error;
}

/*
 * Until a time, look at the wire. Not in the last moment before: a look is a system call on a tap, and whatever it took would be counted as
 * the answer's. What comes then is seen right after the packet.
 */
static int pass_time(struct run *run, uint64_t until)
{
	int any, error = 0;

	while (!error && now_ns() + LAST_MOMENT_NS < until)
		error = look(run, &any);
	while (now_ns() < until)
		;
	return error;
}

static int await(struct run *run, uint32_t trigger, uint64_t until)
{
	const volatile uint64_t *seen = &run->script->seen_ns[trigger];
	int any, error = 0;

	while (!error && !*seen && now_ns() < until)
		error = look(run, &any);
	if (!*seen && run->oldest <= trigger)
		run->oldest = trigger + 1; /* given up: what comes now is late */
	return error;
}

static int perform(struct run *run)
{
	struct hft_script *script = run->script;
	uint32_t unanswered = 0;
	int error;

	for (uint32_t i = 0; i < script->step_count; i++) {
		const struct hft_script_step *step = &script->steps[i];
		const uint8_t *frame = script->frames + step->offset;

		error = pass_time(run, script->start_ns + step->due_ns);
		if (error)
			return error;
		if (step->trigger != HFT_SCRIPT_NO_TRIGGER) {
			run->sequences[step->trigger] = get_be(frame + FRAME_HEADERS + MOLD_SEQUENCE, 8);
			run->sent = step->trigger + 1;
		}
		script->sent_ns[i] = now_ns();
		if (script->sent_ns[i] > run->ends_ns)
			return -ETIME;
		error = transmit(run, frame, step->length);
		if (error)
			return error;
		script->steps_done = i + 1;
		if (!step->waits) {
			/* However late the next one is: nobody's answer waits for more than one packet. */
			error = drain(run);
			if (error)
				return error;
			continue;
		}
		error = await(run, step->trigger, script->sent_ns[i] + script->timeout_ns);
		if (error)
			return error;
		unanswered = script->seen_ns[step->trigger] ? 0 : unanswered + 1;
		if (script->patience && unanswered >= script->patience && step->trigger >= script->warmup)
			return -ETIMEDOUT;
	}
	return 0;
}

int hft_script_run(struct hft_script *script)
{
	struct run run = { .script = script };
	uint64_t until;
	int any, error = 0;

	if (!script->echo && script->reply_length != REPLY_BYTES)
		return -EINVAL;
	run.sequences = calloc(script->trigger_count, sizeof(*run.sequences));
	if (!run.sequences)
		return -ENOMEM;
	script->steps_done = script->late = script->bad = 0;
	script->start_ns = now_ns() + 100000;
	run.ends_ns = script->start_ns + script->most_ns;
	error = perform(&run);
	/* What is under way may still come; what is given up is answered, so that nobody waits for ever. */
	until = now_ns() + script->timeout_ns;
	while (!error && run.oldest < run.sent && now_ns() < until)
		error = look(&run, &any);
	for (uint32_t i = 0; i < run.sent; i++)
		script->left_ns[i] = hft_wire_left_ns(script->wire, run.sequences[i]);
	free(run.sequences);
	return error;
}
