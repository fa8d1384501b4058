/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Frames through a loaded program without a device, its own time beside each. */
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <linux/bpf.h>
#include <linux/types.h>

#include "hft/limits.h"

#include "frame.h"
#include "inside.h"

#define MOLD_SEQUENCE 10
#define MOLD_COUNT 18
#define MOLD_HEADER 20
#define MESSAGE (MOLD_HEADER + 2)
#define ITCH_TIME (MESSAGE + 5)
#define ITCH_REF (MESSAGE + 11)
#define UFO_SEQUENCE 1
#define ACCEPTED 9 /* type, sequence, count, length */
#define CANCELED (ACCEPTED + 64 + 2)
#define REPLIES 2
#define END_OF_SESSION 0xffff
#define MOST_TRIES 1000

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static uint64_t now_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

int hft_inside_frame(const struct hft_inside *inside, uint32_t flow, const uint8_t *payload, uint32_t length,
		     uint8_t *out)
{
	uint8_t *ipv4;

	if (flow >= HFT_INSIDE_FLOWS || inside->headers_len < FRAME_HEADERS ||
	    inside->headers_len > sizeof(inside->headers[0]))
		return -EINVAL;
	if (length > HFT_MAX_FRAME - inside->headers_len)
		return -EMSGSIZE;
	memcpy(out, inside->headers[flow], inside->headers_len);
	memcpy(out + inside->headers_len, payload, length);
	ipv4 = out + inside->headers_len - UDP_BYTES - IPV4_BYTES;
	frame_set_lengths(ipv4, length);
	if (inside->checksums)
		frame_seal(ipv4);
	return (int)(inside->headers_len + length);
}

int hft_inside_runtime(int program_fd, uint64_t *ns, uint64_t *runs)
{
	struct bpf_prog_info info = {};
	uint32_t length = sizeof(info);

	if (bpf_obj_get_info_by_fd(program_fd, &info, &length))
		return -errno;
	*ns = info.run_time_ns;
	*runs = info.run_cnt;
	return 0;
}

int hft_inside_statistics(void)
{
	int fd = bpf_enable_stats(BPF_STATS_RUN_TIME);

	return fd < 0 ? -errno : fd;
}

/* Run a frame; `run` may be NULL. The verdict, or -errno. */
static int run_frame(int program_fd, const uint8_t *frame, uint32_t length, struct hft_inside_run *run, int statistics)
{
	LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = frame, .data_size_in = length, .repeat = 1);
	uint64_t before = 0, after = 0, runs = 0, ran = 0, start, end;
	int error = statistics ? hft_inside_runtime(program_fd, &before, &runs) : 0;

	if (error)
		return error;
	start = now_ns();
	if (bpf_prog_test_run_opts(program_fd, &options))
		return -errno;
	end = now_ns();
	if (statistics) {
		error = hft_inside_runtime(program_fd, &after, &ran);
		if (error)
			return error;
		if (ran != runs + 1)
			return -EBUSY; /* somebody else runs it: whose time is this? */
	}
	if (run)
		*run = (struct hft_inside_run){ start, end, (uint32_t)(after - before), options.retval };
	return (int)options.retval;
}

static int run_payload(const struct hft_inside *inside, uint32_t flow, const uint8_t *payload, uint32_t length,
		       int spoiled, struct hft_inside_run *run, int statistics)
{
	uint8_t frame[HFT_MAX_FRAME];
	int size = hft_inside_frame(inside, flow, payload, length, frame);

	if (size < 0)
		return size;
	if (spoiled) {
		uint8_t *sum = frame + inside->headers_len - 2;

		sum[1] ^= 0x55;
		if (!sum[0] && !sum[1])
			sum[1] = 0xaa; /* 0 would say that there is none */
	}
	return run_frame(inside->program_fd, frame, (uint32_t)size, run, statistics);
}

/* Sequence, and of the first message time and reference. */
static void patch(const struct hft_inside *inside, uint8_t *payload, uint32_t messages)
{
	put_be(payload + MOLD_SEQUENCE, inside->feed_seq, 8);
	if (!messages)
		return;
	put_be(payload + ITCH_TIME, inside->exchange_ns, 6);
	put_be(payload + ITCH_REF, inside->order_ref, 8);
}

static int answer(struct hft_inside *inside, struct hft_inside_round *round)
{
	uint8_t *accepted = round->reply + ACCEPTED, *canceled = round->reply + CANCELED;
	int verdict;

	put_be(round->reply + UFO_SEQUENCE, inside->reply_seq, 4);
	put_be(accepted + 1, inside->exchange_ns, 8);
	put_be(accepted + 9, inside->user_ref, 4);
	put_be(canceled + 1, inside->exchange_ns, 8);
	put_be(canceled + 9, inside->user_ref, 4);
	verdict = run_payload(inside, HFT_INSIDE_REPLY, round->reply, round->reply_len, 0, NULL, 0);
	if (verdict < 0)
		return verdict;
	inside->user_ref++;
	inside->reply_seq += REPLIES;
	return 0;
}

static int one_round(struct hft_inside *inside, struct hft_inside_round *round, struct hft_inside_run *run)
{
	int verdict;

	if (round->flow == HFT_INSIDE_FEED)
		patch(inside, round->tick, round->messages);
	verdict = run_payload(inside, round->flow, round->tick, round->tick_len, (int)round->spoiled, run,
			      (int)round->statistics);
	if (verdict < 0)
		return verdict;
	if (verdict == XDP_TX) {
		int error = round->reply ? answer(inside, round) : -EPROTO;

		if (error)
			return error;
	}
	if (round->flow == HFT_INSIDE_FEED && !round->spoiled)
		inside->feed_seq += round->messages;
	if (round->undo) {
		patch(inside, round->undo, 1);
		verdict = run_payload(inside, HFT_INSIDE_FEED, round->undo, round->undo_len, 0, NULL, 0);
		if (verdict < 0)
			return verdict;
		inside->feed_seq++;
	}
	inside->order_ref++;
	inside->exchange_ns += inside->step_ns;
	return 0;
}

static int well_formed(const struct hft_inside_round *round)
{
	if (round->flow >= HFT_INSIDE_FLOWS)
		return 0;
	if (round->flow == HFT_INSIDE_FEED && round->tick_len < (round->messages ? ITCH_REF + 8u : MOLD_HEADER))
		return 0;
	if (round->undo && round->undo_len < ITCH_REF + 8u)
		return 0;
	return !round->reply || round->reply_len >= CANCELED + 13u;
}

int hft_inside_rounds(struct hft_inside *inside, struct hft_inside_round *round, struct hft_inside_run *runs,
		      uint64_t rounds, uint64_t *done, uint32_t *stop)
{
	uint64_t next = now_ns();

	if (!well_formed(round))
		return -EINVAL;
	for (uint64_t i = 0; i < rounds && !__atomic_load_n(stop, __ATOMIC_ACQUIRE); i++) {
		int error = one_round(inside, round, &runs[i]);

		if (error)
			return error;
		__atomic_store_n(done, i + 1, __ATOMIC_RELEASE);
		for (next += round->interval_ns; round->interval_ns && now_ns() < next;)
			;
	}
	return 0;
}

int hft_inside_packets(struct hft_inside *inside, uint32_t flow, const uint8_t *packets, uint64_t size,
		       struct hft_inside_run *runs, uint64_t room, struct hft_inside_total *total, uint32_t *go)
{
	uint64_t before, after, ran, start, many = 0;
	int error = 0;

	while (go && !__atomic_load_n(go, __ATOMIC_ACQUIRE))
		;
	error = hft_inside_runtime(inside->program_fd, &before, &ran);
	start = now_ns();
	for (uint64_t at = 0; at < size && !error; many++) {
		uint32_t length, count, tries = 0;
		int verdict;

		if (size - at < sizeof(length))
			return -EINVAL;
		memcpy(&length, packets + at, sizeof(length));
		at += sizeof(length);
		if (size - at < length || length < MOLD_HEADER)
			return -EINVAL;
		if (runs && many >= room)
			return -ENOSPC;
		do {
			verdict = run_payload(inside, flow, packets + at, length, 0, runs ? &runs[many] : NULL,
					      runs != NULL);
		} while (verdict == XDP_PASS && inside->insists && tries++ < MOST_TRIES);
		if (verdict < 0) {
			error = verdict;
			break;
		}
		count = (uint32_t)get_be(packets + at + MOLD_COUNT, 2);
		at += length;
		total->packets++;
		total->messages += count == END_OF_SESSION ? 0 : count;
		if (verdict < HFT_INSIDE_VERDICTS)
			total->verdicts[verdict]++;
	}
	total->wall_ns += now_ns() - start;
	if (!error)
		error = hft_inside_runtime(inside->program_fd, &after, &ran);
	if (!error)
		total->hook_ns += after - before;
	return error;
}

int hft_inside_repeat(int program_fd, const uint8_t *frame, uint32_t length, uint32_t repeat, int live, uint64_t *ns)
{
	LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = frame, .data_size_in = length, .repeat = (int)repeat,
		    .flags = live ? BPF_F_TEST_XDP_LIVE_FRAMES : 0);
	uint64_t start = clock_ns(CLOCK_THREAD_CPUTIME_ID);

	if (bpf_prog_test_run_opts(program_fd, &options))
		return -errno;
	*ns = clock_ns(CLOCK_THREAD_CPUTIME_ID) - start;
	return 0;
}
