// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The measuring loop of the latency rig. Layouts: Ethernet II, RFC 791, RFC 768, MoldUDP64 1.00, ITCH 5.0, UFO 1.0, OUCH 5.0. */
#include <errno.h>
#include <linux/bpf.h>
#include <linux/if_link.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <netinet/in.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "bytes.h"
#include "rtt.h"

enum {
	IPV4 = 14,
	FLOW = IPV4 + 12, /* both addresses, and right behind them the ports: IPv4 without options */
	UDP = IPV4 + 20,
	UDP_LENGTH = UDP + 4,
	UDP_CHECKSUM = UDP + 6,
	PAYLOAD = UDP + 8,

	MOLD_SEQUENCE = PAYLOAD + 10,
	MOLD_MESSAGE = PAYLOAD + 22, /* header 20, length of the first block 2 */
	ITCH_TIME = MOLD_MESSAGE + 5, /* 48 bits */
	ITCH_REF = MOLD_MESSAGE + 11,
	ITCH_ADD_PRICE = MOLD_MESSAGE + 32,
	TICK_BYTES = MOLD_MESSAGE + 36,
	AFTER_BYTES = MOLD_MESSAGE + 19,

	ORDER = 3, /* Enter Order behind its length prefix and the UFO type */
	ORDER_FIXED = 47,
	ORDER_PRICE = ORDER + 18,

	REPLY_SEQUENCE = PAYLOAD + 1,
	ACCEPTED = PAYLOAD + 9, /* UFO header 7, length of the first block 2 */
	CANCELED = ACCEPTED + 64 + 2,
	REPLY_BYTES = CANCELED + 18,
	REPLIES = 2,

	RING_BYTES = 1 << 16, /* some hundred orders: more than a participant sends unanswered */
};

static const uint8_t UDP_IN_IPV4[] = { 8, 0, 0x45 }; /* EtherType, version and header length */

struct hft_capture {
	int map_fd;
	int program_fd;
	int previous_fd; /* what was attached before, -1 = nothing */
	int ifindex;
	size_t page;
	uint64_t position; /* everything before it has been read */
	uint64_t *consumed; /* the kernel's copy of that */
	uint64_t *produced; /* first of a page; the records are on the pages behind it */
};

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static uint32_t get_be16(const uint8_t *at)
{
	return (uint32_t)at[0] << 8 | at[1];
}

/* Internet checksum of words that contain their own right checksum: 0. */
static uint16_t checksum(const uint8_t *data, uint32_t len, uint32_t sum)
{
	for (; len > 1; data += 2, len -= 2)
		sum += get_be16(data);
	if (len)
		sum += (uint32_t)data[0] << 8;
	sum = (sum & 0xffff) + (sum >> 16);
	sum += sum >> 16;
	return (uint16_t)~sum;
}

/* Over addresses, UDP header and payload, which lie behind each other, and the rest of the pseudo header. */
static uint16_t udp_checksum(const uint8_t *frame)
{
	uint32_t udp_len = get_be16(frame + UDP_LENGTH);

	return checksum(frame + FLOW, UDP - FLOW + udp_len, IPPROTO_UDP + udp_len);
}

/* A frame that was patched gets its UDP checksum anew; what IPv4's covers never changes. */
static void seal(uint8_t *frame)
{
	uint16_t sum;

	put_be(frame + UDP_CHECKSUM, 0, 2);
	sum = udp_checksum(frame);
	put_be(frame + UDP_CHECKSUM, sum ? sum : 0xffff, 2);
}

static int transmit(const struct hft_rtt *run, const uint8_t *frame, uint32_t len)
{
	return send(run->wire_fd, frame, len, 0) == (ssize_t)len ? 0 : -errno;
}

/* Length of the datagram of `flow` in this frame, which is copied; 0 for other frames. */
static int unwrap(const struct hft_rtt *run, const uint8_t *frame, uint32_t len, uint8_t *into)
{
	uint32_t payload;

	if (len < PAYLOAD || memcmp(frame + IPV4 - 2, UDP_IN_IPV4, sizeof(UDP_IN_IPV4)) ||
	    frame[IPV4 + 9] != IPPROTO_UDP || memcmp(frame + FLOW, run->flow, sizeof(run->flow)))
		return 0;
	payload = get_be16(frame + UDP_LENGTH) - (PAYLOAD - UDP);
	if (payload > HFT_RTT_ORDER_BYTES || payload > len - PAYLOAD)
		return -EBADMSG;
	/* A network stack would have dropped it without a word. No UDP checksum at all is allowed. */
	if (checksum(frame + IPV4, UDP - IPV4, 0) || (get_be16(frame + UDP_CHECKSUM) && udp_checksum(frame)))
		return -EBADMSG;
	memcpy(into, frame + PAYLOAD, payload);
	return (int)payload;
}

/* The same for the frame that is next in the ring; -EAGAIN if there is none. *seen_ns is the time of the look. */
static int poll_ring(const struct hft_rtt *run, uint8_t *into, uint64_t *seen_ns)
{
	struct hft_capture *capture = run->capture;
	uint64_t produced = __atomic_load_n(capture->produced, __ATOMIC_ACQUIRE);
	const uint8_t *record = (const uint8_t *)capture->produced + capture->page + capture->position % RING_BYTES;
	uint32_t frame_len = BPF_RINGBUF_BUSY_BIT;
	int len;

	if (capture->position != produced)
		frame_len = __atomic_load_n((const uint32_t *)record, __ATOMIC_ACQUIRE);
	*seen_ns = now_ns();
	if (frame_len & BPF_RINGBUF_BUSY_BIT)
		return -EAGAIN;
	len = unwrap(run, record + BPF_RINGBUF_HDR_SZ, frame_len, into);
	capture->position += (BPF_RINGBUF_HDR_SZ + frame_len + 7) & ~7u;
	__atomic_store_n(capture->consumed, capture->position, __ATOMIC_RELEASE);
	return len;
}

static int is_order(const uint8_t *data, int len)
{
	return len >= ORDER + ORDER_FIXED && data[2] == 'U' && data[ORDER] == 'O';
}

/* What a round waits for: an order, or its own tick. */
static int is_answer(const struct hft_rtt *run, const uint8_t *data, int len)
{
	if (run->echo)
		return len == TICK_BYTES - PAYLOAD && !memcmp(data, run->tick + PAYLOAD, (size_t)len);
	return is_order(data, len);
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
	seal(run->reply);
	return transmit(run, run->reply, run->reply_len);
}

/* Orders of rounds that were given up must be answered, or the participant would wait for ever. */
static int drain_late(struct hft_rtt *run)
{
	uint8_t datagram[HFT_RTT_ORDER_BYTES];
	uint64_t seen;
	int len, err;

	while ((len = poll_ring(run, datagram, &seen)) != -EAGAIN) {
		if (len < 0)
			return len;
		if (!is_order(datagram, len))
			continue;
		run->late++;
		err = answer(run, datagram);
		if (err)
			return err;
	}
	return 0;
}

static int one_round(struct hft_rtt *run, uint32_t i)
{
	uint8_t *order = run->orders + (size_t)i * HFT_RTT_ORDER_BYTES;
	uint64_t sent, seen;
	int len, err;

	put_be(run->tick + MOLD_SEQUENCE, run->feed_seq, 8);
	put_be(run->tick + ITCH_TIME, run->exchange_ns, 6);
	put_be(run->tick + ITCH_REF, run->order_ref, 8);
	put_be(run->tick + ITCH_ADD_PRICE, run->price_e4[i], 4);
	seal(run->tick);
	run->rtt_ns[i] = 0;
	run->order_len[i] = 0;

	sent = now_ns();
	err = transmit(run, run->tick, run->tick_len);
	if (err)
		return err;
	do {
		len = poll_ring(run, order, &seen);
		if (len == -EAGAIN)
			continue;
		if (len < 0)
			return len;
		if (!is_answer(run, order, len))
			continue;
		if (run->missed && !run->echo && order_price(order) != run->price_e4[i]) {
			/* For a tick that was given up: neighbouring rounds have different prices. */
			run->late++;
			err = answer(run, order);
			if (err)
				return err;
			continue;
		}
		run->rtt_ns[i] = seen - sent;
		run->order_len[i] = (uint16_t)len;
		break;
	} while (seen - sent < run->timeout_ns);

	if (!run->order_len[i])
		run->missed++;
	else if (!run->echo)
		err = answer(run, order);
	if (err)
		return err;

	put_be(run->after + MOLD_SEQUENCE, run->feed_seq + 1, 8);
	put_be(run->after + ITCH_TIME, run->exchange_ns, 6);
	put_be(run->after + ITCH_REF, run->order_ref, 8);
	seal(run->after);
	run->feed_seq += 2;
	run->order_ref++;
	run->exchange_ns += run->step_ns;
	return transmit(run, run->after, run->after_len);
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

#define MOVE(to, from) { BPF_ALU64 | BPF_MOV | BPF_X, to, from, 0, 0 }
#define SET(to, value) { BPF_ALU64 | BPF_MOV | BPF_K, to, 0, 0, value }
#define CALL(helper) { BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_##helper }
#define EXIT { BPF_JMP | BPF_EXIT, 0, 0, 0, 0 }

/* Frames of that length go into the ring and no further, all others pass. Helpers of Linux 5.18. */
static int load_capture(int map_fd, uint32_t frame_len)
{
	const int32_t len = (int32_t)frame_len;
	const struct bpf_insn program[] = {
		MOVE(BPF_REG_6, BPF_REG_1),
		CALL(xdp_get_buff_len),
		{ BPF_JMP | BPF_JNE | BPF_K, BPF_REG_0, 0, 17, len }, /* to the last two */
		{ BPF_LD | BPF_DW | BPF_IMM, BPF_REG_1, BPF_PSEUDO_MAP_FD, 0, map_fd },
		{ 0 }, /* second half of the above */
		SET(BPF_REG_2, len),
		SET(BPF_REG_3, 0),
		CALL(ringbuf_reserve),
		{ BPF_JMP | BPF_JEQ | BPF_K, BPF_REG_0, 0, 9, 0 }, /* full: to the drop */
		MOVE(BPF_REG_7, BPF_REG_0),
		MOVE(BPF_REG_1, BPF_REG_6),
		SET(BPF_REG_2, 0),
		MOVE(BPF_REG_3, BPF_REG_7),
		SET(BPF_REG_4, len),
		CALL(xdp_load_bytes),
		MOVE(BPF_REG_1, BPF_REG_7),
		SET(BPF_REG_2, BPF_RB_NO_WAKEUP),
		CALL(ringbuf_submit),
		SET(BPF_REG_0, XDP_DROP),
		EXIT,
		SET(BPF_REG_0, XDP_PASS),
		EXIT,
	};

	return bpf_prog_load(BPF_PROG_TYPE_XDP, "hft_capture", "Dual BSD/GPL", program,
			     sizeof(program) / sizeof(*program), NULL);
}

static int capture_start(struct hft_capture *capture, int ifindex, uint32_t frame_len)
{
	uint32_t previous = 0;

	capture->map_fd = bpf_map_create(BPF_MAP_TYPE_RINGBUF, "hft_capture", 0, 0, RING_BYTES, NULL);
	if (capture->map_fd < 0)
		return -errno;
	capture->consumed = mmap(NULL, capture->page, PROT_READ | PROT_WRITE, MAP_SHARED, capture->map_fd, 0);
	if (capture->consumed == MAP_FAILED)
		return -errno;
	/* The kernel maps the records twice in a row, so that none is split at the end. */
	capture->produced = mmap(NULL, capture->page + 2 * RING_BYTES, PROT_READ, MAP_SHARED | MAP_POPULATE,
				 capture->map_fd, (off_t)capture->page);
	if (capture->produced == MAP_FAILED)
		return -errno;
	capture->program_fd = load_capture(capture->map_fd, frame_len);
	if (capture->program_fd < 0)
		return -errno;
	if (bpf_xdp_query_id(ifindex, XDP_FLAGS_DRV_MODE, &previous))
		return -errno;
	if (previous) {
		capture->previous_fd = bpf_prog_get_fd_by_id(previous);
		if (capture->previous_fd < 0)
			return -errno;
	}
	if (bpf_xdp_attach(ifindex, capture->program_fd, XDP_FLAGS_DRV_MODE, NULL))
		return -errno;
	capture->ifindex = ifindex;
	return 0;
}

struct hft_capture *hft_capture_open(int ifindex, uint32_t frame_len, int *error)
{
	struct hft_capture *capture = malloc(sizeof(*capture));

	if (!capture) {
		*error = -ENOMEM;
		return NULL;
	}
	*capture = (struct hft_capture){ .map_fd = -1,
					 .program_fd = -1,
					 .previous_fd = -1,
					 .page = (size_t)sysconf(_SC_PAGESIZE),
					 .consumed = MAP_FAILED,
					 .produced = MAP_FAILED };
	*error = capture_start(capture, ifindex, frame_len);
	if (!*error)
		return capture;
	hft_capture_close(capture);
	return NULL;
}

void hft_capture_close(struct hft_capture *capture)
{
	const int fds[] = { capture->previous_fd, capture->program_fd, capture->map_fd };

	if (capture->ifindex)
		bpf_xdp_attach(capture->ifindex, capture->previous_fd, XDP_FLAGS_DRV_MODE, NULL);
	if (capture->produced != MAP_FAILED)
		munmap(capture->produced, capture->page + 2 * RING_BYTES);
	if (capture->consumed != MAP_FAILED)
		munmap(capture->consumed, capture->page);
	for (int i = 0; i < 3; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	free(capture);
}
