// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The measuring loop of the latency rig. Layouts: MoldUDP64 1.00, ITCH 5.0, UFO 1.0, OUCH 5.0. */
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <time.h>

#include "rtt.h"

enum {
	MOLD_SEQUENCE = 10,
	MOLD_MESSAGE = 22, /* header 20, length of the first block 2 */
	ITCH_TIME = MOLD_MESSAGE + 5, /* 48 bits */
	ITCH_REF = MOLD_MESSAGE + 11,
	ITCH_ADD_PRICE = MOLD_MESSAGE + 32,
	TICK_BYTES = MOLD_MESSAGE + 36,
	AFTER_BYTES = MOLD_MESSAGE + 19,

	ORDER = 3, /* Enter Order behind its length prefix and the UFO type */
	ORDER_FIXED = 47,
	ORDER_PRICE = ORDER + 18,

	REPLY_SEQUENCE = 1,
	ACCEPTED = 9, /* UFO header 7, length of the first block 2 */
	CANCELED = ACCEPTED + 64 + 2,
	REPLY_BYTES = CANCELED + 18,
	REPLIES = 2,
};

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void put_be(uint8_t *at, uint64_t value, int bytes)
{
	while (bytes--) {
		at[bytes] = (uint8_t)value;
		value >>= 8;
	}
}

/* A peer without a socket answers with ICMP, which a connected socket reports once: not this loop's business. */
static int send_all(int fd, const uint8_t *data, size_t len)
{
	for (;;) {
		if (send(fd, data, len, 0) == (ssize_t)len)
			return 0;
		if (errno != ECONNREFUSED && errno != EINTR)
			return -errno;
	}
}

/* Bytes of the datagram that was waiting, 0 if there was none. */
static ssize_t poll_order(int fd, uint8_t *into)
{
	ssize_t len = recv(fd, into, HFT_RTT_ORDER_BYTES, MSG_DONTWAIT);

	if (len >= 0)
		return len;
	return errno == EAGAIN || errno == ECONNREFUSED || errno == EINTR ? 0 : -errno;
}

static int is_order(const uint8_t *data, ssize_t len)
{
	return len >= ORDER + ORDER_FIXED && data[2] == 'U' && data[ORDER] == 'O';
}

static uint64_t order_price(const uint8_t *datagram)
{
	uint64_t price = 0;

	for (int i = 0; i < 8; i++)
		price = price << 8 | datagram[ORDER_PRICE + i];
	return price;
}

/* Accepted echoes the order, Canceled gives all of it back: the participant is free for the next tick. */
static int answer(struct hft_rtt *run, const uint8_t *datagram)
{
	const uint8_t *order = datagram + ORDER;
	uint8_t *accepted = run->reply + ACCEPTED;
	uint8_t *canceled = run->reply + CANCELED;

	put_be(run->reply + REPLY_SEQUENCE, run->reply_seq, 4);
	put_be(accepted + 1, run->exchange_ns, 8);
	memcpy(accepted + 9, order + 1, 27); /* reference, side, quantity, symbol, price, time in force, display */
	put_be(accepted + 36, run->order_ref, 8);
	memcpy(accepted + 44, order + 28, 3); /* capacity, ISO, cross type */
	memcpy(accepted + 48, order + 31, 14); /* client order id */
	put_be(canceled + 1, run->exchange_ns, 8);
	memcpy(canceled + 9, order + 1, 4); /* reference */
	memcpy(canceled + 13, order + 6, 4); /* quantity */
	run->reply_seq += REPLIES;
	return send_all(run->order_fd, run->reply, run->reply_len);
}

/* Orders of rounds that were given up must be answered, or the participant would wait for ever. */
static int drain_late(struct hft_rtt *run)
{
	uint8_t datagram[HFT_RTT_ORDER_BYTES];
	ssize_t len;
	int err;

	while ((len = poll_order(run->order_fd, datagram)) > 0) {
		if (!is_order(datagram, len))
			continue;
		run->late++;
		err = answer(run, datagram);
		if (err)
			return err;
	}
	return (int)len;
}

static int one_round(struct hft_rtt *run, uint32_t i)
{
	uint8_t *order = run->orders + (size_t)i * HFT_RTT_ORDER_BYTES;
	uint64_t sent, now;
	ssize_t len;
	int err;

	put_be(run->tick + MOLD_SEQUENCE, run->feed_seq, 8);
	put_be(run->tick + ITCH_TIME, run->exchange_ns, 6);
	put_be(run->tick + ITCH_REF, run->order_ref, 8);
	put_be(run->tick + ITCH_ADD_PRICE, run->price_e4[i], 4);
	run->rtt_ns[i] = 0;
	run->order_len[i] = 0;

	sent = now_ns();
	err = send_all(run->feed_fd, run->tick, run->tick_len);
	if (err)
		return err;
	do {
		len = poll_order(run->order_fd, order);
		now = now_ns();
		if (len < 0)
			return (int)len;
		if (!is_order(order, len))
			continue;
		if (run->missed && order_price(order) != run->price_e4[i]) {
			/* For a tick that was given up: neighbouring rounds have different prices. */
			run->late++;
			err = answer(run, order);
			if (err)
				return err;
			continue;
		}
		run->rtt_ns[i] = now - sent;
		run->order_len[i] = (uint16_t)len;
		break;
	} while (now - sent < run->timeout_ns);

	if (run->order_len[i])
		err = answer(run, order);
	else
		run->missed++;
	if (err)
		return err;

	put_be(run->after + MOLD_SEQUENCE, run->feed_seq + 1, 8);
	put_be(run->after + ITCH_TIME, run->exchange_ns, 6);
	put_be(run->after + ITCH_REF, run->order_ref, 8);
	run->feed_seq += 2;
	run->order_ref++;
	run->exchange_ns += run->step_ns;
	return send_all(run->feed_fd, run->after, run->after_len);
}

int hft_rtt_run(struct hft_rtt *run)
{
	uint64_t next = now_ns();
	uint32_t silent = 0;

	if (run->tick_len != TICK_BYTES || run->after_len != AFTER_BYTES || run->reply_len != REPLY_BYTES)
		return -EINVAL;
	run->missed = 0;
	run->late = 0;
	for (uint32_t i = 0; i < run->rounds; i++) {
		int err = drain_late(run);

		if (!err)
			err = one_round(run, i);
		if (err)
			return err;
		silent = run->order_len[i] ? 0 : silent + 1;
		if (run->patience && silent >= run->patience)
			return -ETIMEDOUT;
		next += run->interval_ns;
		while (now_ns() < next)
			;
	}
	return drain_late(run);
}
