// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Recorded messages, played again. Layouts: BinaryFILE, MoldUDP64 1.00, ITCH 5.0, RFC 791, RFC 768. */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <netinet/in.h>
#include <time.h>

#include <linux/types.h>

#include "hft/limits.h"
#include "hft/abi.h"
#include "bytes.h"
#include "hft.h"
#include "replay.h"

enum {
	MOLD_HEADER = 20,
	LENGTH = 2, /* of a message, before it */
	IPV4_BYTES = 20,
	UDP_BYTES = 8,
	LEAST_HEADERS = 14 + IPV4_BYTES + UDP_BYTES,
	LOCATE_END = 3, /* bytes of a message that hold its type and its locate */
	TIME_AT = 5,
	TIME_END = 11,
	R_NAME_AT = 11,
	R_BYTES = 39,
	ADD_NAME_AT = 24,
	ADD_BYTES = 36,
	MPID_ADD_BYTES = 40,
	NAME_BYTES = 8,
};

#define SLACK_NS 60000 /* a sleep may end so late: the rest is waited awake */
#define NO_ROOM_NS 20000

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void sleep_until(uint64_t at_ns)
{
	struct timespec ts = { .tv_sec = (time_t)(at_ns / 1000000000u), .tv_nsec = (long)(at_ns % 1000000000u) };

	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL);
}

/* The next message; NULL at the end (*length = 0) or where the bytes are torn (*length = -EBADMSG). */
static const uint8_t *peek(const struct hft_framed *framed, int64_t *length)
{
	uint64_t left = framed->length - framed->at;
	const uint8_t *at = framed->bytes + framed->at;

	*length = 0;
	if (!left)
		return NULL;
	*length = -EBADMSG;
	if (left < LENGTH)
		return NULL;
	*length = (int64_t)get_be(at, LENGTH);
	if (!*length)
		return NULL;
	if (left - LENGTH < (uint64_t)*length) {
		*length = -EBADMSG;
		return NULL;
	}
	return at + LENGTH;
}

static int names(const uint8_t *message, int64_t length, const uint8_t *name)
{
	if (message[0] == 'R')
		return length == R_BYTES && !memcmp(message + R_NAME_AT, name, NAME_BYTES);
	if (message[0] == 'A' || message[0] == 'F')
		return length == (message[0] == 'A' ? ADD_BYTES : MPID_ADD_BYTES) &&
		       !memcmp(message + ADD_NAME_AT, name, NAME_BYTES);
	return 0;
}

int hft_framed_find(struct hft_framed *framed, const uint8_t *name, uint64_t budget)
{
	for (; budget; budget--) {
		int64_t length;
		const uint8_t *message = peek(framed, &length);

		if (!message)
			return length ? (int)length : HFT_FRAMED_END;
		if (names(message, length, name))
			return HFT_FRAMED_FOUND;
		framed->at += LENGTH + (uint64_t)length;
	}
	return HFT_FRAMED_MORE;
}

int64_t hft_framed_count(struct hft_framed *framed, uint64_t budget)
{
	int64_t length, count = 0;

	for (; budget && peek(framed, &length); budget--, count++)
		framed->at += LENGTH + (uint64_t)length;
	return count;
}

/* One's complement sum of 16-bit words, in the order of the bytes; folded by the caller. */
static uint64_t add_words(const uint8_t *data, uint32_t length, uint64_t sum)
{
	for (; length >= 4; data += 4, length -= 4)
		sum += get_be(data, 4);
	if (length & 2) {
		sum += get_be(data, 2);
		data += 2;
	}
	if (length & 1)
		sum += (uint64_t)*data << 8;
	return sum;
}

static uint16_t folded(uint64_t sum)
{
	sum = (sum >> 32) + (sum & 0xffffffff);
	sum = (sum >> 32) + (sum & 0xffffffff);
	sum = (sum >> 16) + (sum & 0xffff);
	sum = (sum >> 16) + (sum & 0xffff);
	sum = (sum >> 16) + (sum & 0xffff);
	return (uint16_t)~sum;
}

/* Out of the interface, with all checksums: no driver is relied on to make them. */
static int send_frame(struct hft_replay *replay, const uint8_t *headers, const uint8_t *payload, uint32_t length)
{
	uint8_t frame[HFT_MAX_FRAME];
	uint32_t udp_length = UDP_BYTES + length, size = replay->headers_len + length;
	uint8_t *udp = frame + replay->headers_len - UDP_BYTES, *ipv4 = udp - IPV4_BYTES;
	uint16_t sum;

	memcpy(frame, headers, replay->headers_len);
	memcpy(udp + UDP_BYTES, payload, length);
	put_be(ipv4 + 2, IPV4_BYTES + udp_length, 2);
	put_be(ipv4 + 4, replay->packets, 2);
	put_be(ipv4 + 10, 0, 2);
	put_be(ipv4 + 10, folded(add_words(ipv4, IPV4_BYTES, 0)), 2);
	put_be(udp + 4, udp_length, 2);
	put_be(udp + 6, 0, 2);
	/* both addresses, the rest of the pseudo header, and the datagram */
	sum = folded(add_words(ipv4 + 12, 8 + udp_length, IPPROTO_UDP + udp_length));
	put_be(udp + 6, sum ? sum : 0xffff, 2);
	return send(replay->wire_fd, frame, size, 0) == (ssize_t)size ? 0 : -errno;
}

int hft_replay_send(struct hft_replay *replay, uint32_t line, const uint8_t *payload, uint32_t length)
{
	const uint8_t *headers;
	int result;

	if (line > 1 || replay->headers_len < LEAST_HEADERS || replay->headers_len > sizeof(replay->headers[0]))
		return -EINVAL;
	if (length > HFT_MAX_FRAME - replay->headers_len)
		return -EMSGSIZE;
	headers = replay->headers[line];
	result = replay->program_fd >= 0 ? hft_inject(replay->program_fd, headers, replay->headers_len, payload, length)
					 : send_frame(replay, headers, payload, length);
	if (result < 0)
		return result;
	replay->packets++;
	replay->bytes += length;
	return 0;
}

static uint64_t due_ns(const struct hft_replay *replay, uint64_t recorded_ns)
{
	if (replay->pace == 0 || recorded_ns <= replay->first_ns)
		return replay->start_ns;
	return replay->start_ns + (uint64_t)((double)(recorded_ns - replay->first_ns) / replay->pace);
}

/* Is it due by until_ns? If so it is waited for. */
static int wait_for(uint64_t due, uint64_t until_ns, uint64_t *now)
{
	if (due > until_ns) {
		if (until_ns > *now)
			sleep_until(until_ns);
		return 0;
	}
	if (due > *now + SLACK_NS)
		sleep_until(due - SLACK_NS);
	while (*now < due)
		*now = now_ns();
	return 1;
}

/* Send; MORE when the interface had no room for it until until_ns. */
static int offer(struct hft_replay *replay, uint32_t line, const uint8_t *payload, uint32_t length, uint64_t until_ns)
{
	for (;;) {
		int error = hft_replay_send(replay, line, payload, length);
		uint64_t now;

		if (error != -ENOBUFS && error != -EAGAIN && error != -EINTR)
			return error;
		replay->waits++;
		now = now_ns();
		if (now >= until_ns)
			return HFT_FRAMED_MORE;
		sleep_until(now + NO_ROOM_NS);
	}
}

static void note_lag(struct hft_replay *replay, uint64_t recorded_ns, uint64_t due, uint64_t now)
{
	replay->recorded_ns = recorded_ns;
	replay->lag_ns = replay->pace != 0 && now > due ? now - due : 0;
	if (replay->lag_ns > replay->worst_lag_ns)
		replay->worst_lag_ns = replay->lag_ns;
}

static uint64_t time_of(const struct hft_replay *replay, const uint8_t *message, int64_t length)
{
	uint64_t at = length >= TIME_END ? get_be(message + TIME_AT, TIME_END - TIME_AT) : 0;

	return at > replay->recorded_ns ? at : replay->recorded_ns;
}

static void put_header(const struct hft_replay *replay, uint8_t *payload, uint32_t count)
{
	memcpy(payload, replay->session, sizeof(replay->session));
	put_be(payload + 10, replay->sequence, 8);
	put_be(payload + 18, count, 2);
}

static uint32_t most_messages(const struct hft_replay *replay)
{
	return replay->per_packet && replay->per_packet < HFT_MAX_BLOCKS ? replay->per_packet : HFT_MAX_BLOCKS;
}

static int checked_room(const struct hft_replay *replay)
{
	return replay->payload_max <= HFT_MAX_FRAME - LEAST_HEADERS && replay->payload_max > MOLD_HEADER ? 0 : -EINVAL;
}

int hft_replay_framed(struct hft_replay *replay, struct hft_framed *framed, uint64_t until_ns)
{
	uint8_t payload[HFT_MAX_FRAME];
	uint64_t now = now_ns();

	if (checked_room(replay))
		return -EINVAL;
	for (;;) {
		struct hft_framed ahead = *framed;
		uint32_t size = MOLD_HEADER, count = 0;
		uint64_t recorded_ns, due;
		int64_t length;
		const uint8_t *message = peek(&ahead, &length);
		int result;

		if (!message)
			return length ? (int)length : HFT_FRAMED_END;
		if (now >= until_ns)
			return HFT_FRAMED_MORE;
		due = due_ns(replay, time_of(replay, message, length));
		if (!wait_for(due, until_ns, &now))
			return HFT_FRAMED_MORE;
		recorded_ns = replay->recorded_ns;
		do {
			uint64_t at_ns = time_of(replay, message, length);

			if (size + LENGTH + (uint64_t)length > replay->payload_max) {
				if (!count)
					return -EMSGSIZE;
				break;
			}
			if (count && due_ns(replay, at_ns) > now)
				break;
			memcpy(payload + size, message - LENGTH, LENGTH + (size_t)length);
			size += LENGTH + (uint32_t)length;
			ahead.at += LENGTH + (uint64_t)length;
			recorded_ns = at_ns > recorded_ns ? at_ns : recorded_ns;
			message = peek(&ahead, &length);
		} while (++count < most_messages(replay) && message);
		put_header(replay, payload, count);
		result = offer(replay, replay->line, payload, size, until_ns);
		if (result)
			return result;
		note_lag(replay, recorded_ns, due, now);
		*framed = ahead;
		replay->sequence += count;
		replay->messages += count;
		now = now_ns();
	}
}

int hft_replay_packets(struct hft_replay *replay, const uint8_t *packets, uint64_t size, uint64_t *at,
		       uint64_t until_ns)
{
	uint64_t now = now_ns();

	while (*at < size) {
		struct hft_recorded head;
		const uint8_t *payload = packets + *at + sizeof(head);
		uint64_t due, count;
		int result;

		if (size - *at < sizeof(head))
			return -EBADMSG;
		memcpy(&head, packets + *at, sizeof(head));
		if (size - *at - sizeof(head) < head.length || head.length < MOLD_HEADER)
			return -EBADMSG;
		if (now >= until_ns)
			return HFT_FRAMED_MORE;
		due = due_ns(replay, head.recorded_ns);
		if (!wait_for(due, until_ns, &now))
			return HFT_FRAMED_MORE;
		result = offer(replay, head.line, payload, head.length, until_ns);
		if (result)
			return result;
		note_lag(replay, head.recorded_ns, due, now);
		count = get_be(payload + 18, 2);
		replay->messages += count == 0xffff ? 0 : count;
		*at += sizeof(head) + head.length;
		now = now_ns();
	}
	return HFT_FRAMED_END;
}

static int flush(struct hft_replay *replay, uint8_t *payload, uint32_t *size, uint32_t *count)
{
	int error;

	if (!*count)
		return 0;
	put_header(replay, payload, *count);
	error = hft_replay_send(replay, replay->line, payload, *size);
	if (error)
		return error;
	replay->sequence += *count;
	replay->messages += *count;
	*size = MOLD_HEADER;
	*count = 0;
	return 0;
}

int hft_replay_until(struct hft_replay *replay, struct hft_framed *framed, uint32_t locate, uint64_t budget)
{
	uint8_t payload[HFT_MAX_FRAME];
	uint32_t size = MOLD_HEADER, count = 0;

	if (checked_room(replay))
		return -EINVAL;
	for (;; budget--) {
		int64_t length;
		const uint8_t *message = peek(framed, &length);
		int found = message && length >= LOCATE_END && get_be(message + 1, 2) == locate;
		int error;

		if (!message || found || !budget) {
			error = flush(replay, payload, &size, &count);
			if (error)
				return error;
			if (!message)
				return length ? (int)length : HFT_FRAMED_END;
			return found ? HFT_FRAMED_FOUND : HFT_FRAMED_MORE;
		}
		if (size + LENGTH + (uint64_t)length > replay->payload_max || count == most_messages(replay)) {
			error = flush(replay, payload, &size, &count);
			if (error)
				return error;
			if (size + LENGTH + (uint64_t)length > replay->payload_max)
				return -EMSGSIZE;
		}
		memcpy(payload + size, message - LENGTH, LENGTH + (size_t)length);
		size += LENGTH + (uint32_t)length;
		count++;
		framed->at += LENGTH + (uint64_t)length;
	}
}
