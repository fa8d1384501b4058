/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>

#include "bytes.h"
#include "frame.h"
#include "ack.h"

#define TCP_BYTES 20
#define TIMESTAMP_BYTES 12
#define ACK_FLAG 0x10
#define IPV4_TCP 6

struct held {
	uint64_t version;
	uint32_t ack;
	uint32_t seq;
	uint32_t window;
	uint32_t tsval;
	uint32_t tsecr;
};

/* A copy that the hook did not change while it was made: false if there is none now. */
static bool held_read(const struct hft_tcp_wire *wire, struct held *held)
{
	held->version = __atomic_load_n(&wire->held_version, __ATOMIC_ACQUIRE);
	if (held->version & 1)
		return false;
	held->ack = wire->held_ack;
	held->seq = wire->held_seq;
	held->window = wire->held_window;
	held->tsval = wire->held_tsval;
	held->tsecr = wire->held_tsecr;
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	return __atomic_load_n(&wire->held_version, __ATOMIC_RELAXED) == held->version;
}

/* The frame; its length. */
static uint32_t ack_frame(const struct hft_tcp_wire *wire, const struct ack_way *way, const struct held *held,
			  uint8_t *frame)
{
	uint32_t options = wire->timestamps ? TIMESTAMP_BYTES : 0, tcp_len = TCP_BYTES + options;
	uint8_t *ipv4 = frame + way->ethernet_len, *tcp = ipv4 + IPV4_BYTES;
	uint8_t pseudo[4] = { 0, IPV4_TCP, 0, (uint8_t)tcp_len };
	uint16_t sum;

	memset(frame, 0, way->ethernet_len + IPV4_BYTES + tcp_len);
	memcpy(frame, way->ethernet, way->ethernet_len);
	ipv4[0] = 0x45;
	put_be(ipv4 + IPV4_LENGTH, IPV4_BYTES + tcp_len, 2);
	put_be(ipv4 + 6, 0x4000, 2); /* do not fragment */
	ipv4[8] = 64;
	ipv4[9] = IPV4_TCP;
	memcpy(ipv4 + IPV4_ADDRESSES, &wire->remote_addr_be, 4);
	memcpy(ipv4 + IPV4_ADDRESSES + 4, &wire->local_addr_be, 4);
	sum = frame_ipv4_checksum(ipv4);
	memcpy(ipv4 + IPV4_CHECKSUM, &sum, sizeof(sum));
	memcpy(tcp, &wire->remote_port_be, 2);
	memcpy(tcp + 2, &wire->local_port_be, 2);
	put_be(tcp + 4, held->seq, 4);
	put_be(tcp + 8, held->ack, 4);
	tcp[12] = (uint8_t)(tcp_len / 4 << 4);
	tcp[13] = ACK_FLAG;
	put_be(tcp + 14, held->window, 2);
	if (options) {
		put_be(tcp + TCP_BYTES, 0x0101080a, 4);
		put_be(tcp + TCP_BYTES + 4, held->tsval, 4);
		put_be(tcp + TCP_BYTES + 8, held->tsecr, 4);
	}
	sum = frame_fold(frame_sum(ipv4 + IPV4_ADDRESSES, 8 + tcp_len, frame_sum(pseudo, sizeof(pseudo), 0)));
	memcpy(tcp + 16, &sum, sizeof(sum));
	return way->ethernet_len + IPV4_BYTES + tcp_len;
}

static int come_in(const struct ack_way *way, const uint8_t *frame, uint32_t length)
{
	struct xdp_md place = { .data_end = length, .ingress_ifindex = way->ifindex };
	LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = frame, .data_size_in = length, .ctx_in = &place,
		    .ctx_size_in = sizeof(place), .repeat = 1, .flags = BPF_F_TEST_XDP_LIVE_FRAMES, .batch_size = 1);

	return bpf_prog_test_run_opts(way->pass_fd, &options) ? -errno : 0;
}

int ack_deliver(int socket, struct hft_tcp_wire *wire, const struct ack_way *way, struct ack_copy *copy)
{
	uint32_t merged = __atomic_load_n(&wire->merged_seq, __ATOMIC_SEQ_CST);
	uint8_t frame[128];
	struct held held;
	bool whole;
	int error;

	if (__atomic_load_n(&wire->held_version, __ATOMIC_RELAXED) == copy->version || !held_read(wire, &held))
		return 0;
	if (socket_unacknowledged(socket) == 0 && (int32_t)(merged - held.ack) >= 0) {
		copy->version = held.version; /* another one has said it meanwhile */
		return 0;
	}
	whole = (int32_t)(merged - held.ack) >= 0;
	if (!whole)
		held.ack = merged;
	if (held.ack == copy->newest && !whole)
		return 0; /* no more of it is merged than was said already */
	error = come_in(way, frame, ack_frame(wire, way, &held, frame));
	if (error) {
		copy->failed++;
		return error;
	}
	copy->newest = held.ack;
	copy->delivered++;
	if (whole)
		copy->version = held.version;
	return 0;
}
