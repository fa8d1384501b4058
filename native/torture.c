/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Trials of the loaded program, in bulk: see torture.h. */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include <bpf/bpf.h>
#include <linux/bpf.h>
#include <linux/types.h>

#include "hft/limits.h"
#include "hft/abi.h"

#include "bytes.h"
#include "hft.h"
#include "market.h"
#include "reference.h"
#include "torture.h"

#define IPV4 14 /* offset of the header in a frame without VLAN */
#define UDP 34
#define PAYLOAD 42
#define FRAME_ROOM 4096 /* the program may make a frame longer */
#define MOLD_HEADER 20
#define SESSION_BYTES 10
#define END_OF_SESSION 0xffff
#define MOST_TOUCHED 128 /* symbols in one packet: it holds fewer messages of a symbol */
#define LENGTH_BYTES 2
#define CHUNK (1u << 20) /* bytes that a market makes at once */
#define PPM 1000000
#define NAME_BYTES 8

/* OUCH 5.0 Enter Order behind a length and a UFO 'U' */
#define ORDER_BYTES 50
#define ORDER_REF 4
#define ORDER_SIDE 8
#define ORDER_QTY 9
#define ORDER_SYMBOL 13
#define ORDER_PRICE 21
/* and what answers it */
#define ACCEPTED_BYTES 64
#define EXECUTED_BYTES 36
#define CANCELED_BYTES 18
#define REJECTED_BYTES 29
#define REPLY_HEADER 7

static uint64_t monotonic_ns(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000000000ULL + time.tv_nsec;
}

static uint64_t split_mix(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15ULL;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
	return z ^ z >> 31;
}

static uint32_t put_mold_header(uint8_t *at, const uint8_t *session, uint64_t sequence, uint32_t count)
{
	memcpy(at, session, SESSION_BYTES);
	put_be(at + 10, sequence, 8);
	put_be(at + 18, count, 2);
	return MOLD_HEADER;
}

/* Depth. */

static int fault(struct hft_trial *trial, uint32_t what, uint32_t locate, uint32_t slot)
{
	trial->fault = what;
	trial->locate = locate;
	trial->slot = slot;
	return -EBADMSG;
}

static int compare_side(struct hft_trial *trial, const struct hft_reference *reference, uint32_t locate, uint32_t slot,
			uint32_t side)
{
	uint32_t count;
	const struct hft_level *expected = hft_reference_side(reference, locate, side, &count);
	const struct hft_level *found = trial->levels + (size_t)side * HFT_TRIAL_LEVELS;

	if (count > HFT_TRIAL_LEVELS)
		return -E2BIG;
	if (trial->books[slot].best_e4[side] != (count ? expected[0].price_e4 : 0))
		return fault(trial, HFT_FAULT_BEST, locate, slot);
	if (trial->counts[side] != count || (count && memcmp(found, expected, count * sizeof(*found))))
		return fault(trial, HFT_FAULT_DEPTH, locate, slot);
	trial->level_count += count;
	if (count > trial->deepest)
		trial->deepest = count;
	return 0;
}

/* That nobody changes the books meanwhile is the caller's affair: the program runs when he says so. */
int hft_trial_compare(struct hft_trial *trial, const struct hft_reference *reference, uint32_t locate)
{
	uint32_t slot = trial->slots[locate] - 1u;
	const struct hft_book *book = &trial->books[slot];
	int error = hft_depth(trial->tables, book, slot, trial->levels, HFT_TRIAL_LEVELS, trial->counts);

	if (error)
		return error;
	if (book->health != HFT_BOOK_OK)
		return fault(trial, HFT_FAULT_HEALTH, locate, slot);
	if (book->locate != locate)
		return fault(trial, HFT_FAULT_LOCATE, locate, slot);
	if (book->book_orders != hft_reference_orders(reference, locate))
		return fault(trial, HFT_FAULT_ORDERS, locate, slot);
	for (uint32_t side = HFT_BUY; side <= HFT_SELL && !error; side++)
		error = compare_side(trial, reference, locate, slot, side);
	if (error)
		return error;
	trial->depths++;
	trial->crossed +=
		book->best_e4[HFT_BUY] && book->best_e4[HFT_SELL] && book->best_e4[HFT_BUY] >= book->best_e4[HFT_SELL];
	return 0;
}

static void touch(uint32_t *touched, uint32_t *count, uint32_t locate)
{
	for (uint32_t i = 0; i < *count; i++)
		if (touched[i] == locate)
			return;
	if (*count < MOST_TOUCHED)
		touched[(*count)++] = locate;
}

/* The packet that is in `payload`. */
static int run_packet(struct hft_trial *trial, struct hft_reference *reference)
{
	uint32_t touched[MOST_TOUCHED], count = 0;
	const uint8_t *at = trial->payload + MOLD_HEADER, *end = trial->payload + trial->payload_len;
	int result =
		hft_inject(trial->program_fd, trial->headers, trial->headers_len, trial->payload, trial->payload_len);

	if (result < 0)
		return result;
	trial->packets++;
	trial->verdict = result;
	trial->sequence = trial->next - 1;
	if (result != XDP_DROP)
		return fault(trial, HFT_FAULT_VERDICT, 0, 0);
	while (at < end) {
		uint32_t size = get_be(at, LENGTH_BYTES);

		result = hft_reference_apply(reference, at + LENGTH_BYTES, size);
		if (result == -EBADMSG)
			return fault(trial, HFT_FAULT_MESSAGE, get_be(at + LENGTH_BYTES + 1, 2), 0);
		if (result < 0)
			return result;
		if (trial->slots[result])
			touch(touched, &count, result);
		trial->messages++;
		at += LENGTH_BYTES + size;
	}
	result = 0;
	for (uint32_t i = 0; i < count && !result; i++)
		result = hft_trial_compare(trial, reference, touched[i]);
	return result;
}

int hft_trial_run(struct hft_trial *trial, struct hft_reference *reference, const uint8_t *framed, uint64_t size,
		  uint32_t most)
{
	const uint8_t *end = framed + size;
	int error = 0;

	while (framed < end && !error) {
		uint32_t wanted = 1 + split_mix(&trial->random) % most, count = 0, length = MOLD_HEADER;

		while (count < wanted && framed < end) {
			uint32_t block = LENGTH_BYTES + get_be(framed, LENGTH_BYTES);

			if (block > (uint64_t)(end - framed) || MOLD_HEADER + block > sizeof(trial->payload))
				return -EINVAL;
			if (length + block > sizeof(trial->payload))
				break;
			memcpy(trial->payload + length, framed, block);
			length += block;
			framed += block;
			count++;
		}
		put_mold_header(trial->payload, trial->session, trial->next, count);
		trial->payload_len = length;
		trial->next += count;
		error = run_packet(trial, reference);
	}
	return error;
}

/* Feed torture. */

/* One session: all that was ever published in it, as BinaryFILE, and two books that follow it. */
struct session {
	uint8_t name[SESSION_BYTES];
	const uint16_t *slots;
	struct hft_market *market; /* the caller's */
	uint64_t day_ns; /* virtual time of its midnight, modulo 2^64: it may lie before the beginning */
	uint8_t *bytes;
	uint64_t size;
	uint64_t room;
	uint64_t *offsets; /* of message i + 1; one more than messages */
	uint64_t made; /* messages that are in `bytes` */
	uint64_t offsets_room;
	uint64_t published;
	uint64_t left; /* messages of the flow that are still to be made */
	uint64_t total; /* messages in all, once the last is made */
	uint32_t stage; /* 0 nothing made, 1 opened, 2 seeded */
	int ending;
	struct hft_reference *market_book; /* as published */
	struct hft_reference *truth; /* as far as the hook is */
	uint64_t truth_next; /* the first message that it has not */
};

enum arrival_kind { ARRIVES_PACKET, ARRIVES_HEARTBEAT, ARRIVES_END, ARRIVES_REPLY, BEAT };

/* Something that happens at a virtual time. */
struct arrival {
	uint64_t at_ns;
	uint64_t serial; /* what was put in first comes first */
	uint64_t first; /* sequence; reply: price */
	uint32_t count; /* messages; reply: quantity */
	uint32_t user_ref; /* reply */
	uint32_t session;
	uint8_t kind;
	uint8_t line;
};

struct line {
	uint32_t losing; /* packets that are still lost in a row */
	uint64_t last_ns;
};

struct hft_torture {
	struct hft_torture_config config;
	struct hft_torture_state state;
	struct session **sessions;
	struct arrival *heap;
	uint32_t heap_count;
	uint32_t heap_room;
	uint64_t serial;
	uint64_t random;
	struct line lines[2];
	uint32_t losing_both;
	/* the next packet of the newest session */
	uint64_t next_first;
	uint32_t next_count; /* 0 = none */
	uint64_t next_at_ns;
	int told_published;
	uint32_t reply_sequence;
	uint64_t match;
	/* what is missing, and since when */
	uint64_t missing_since_ns;
	uint64_t missing_wall_ns;
	int is_gap;
	uint64_t compare_at; /* published messages at which all is compared next */
	struct hft_outage *outages;
	uint64_t outage_room;
	uint8_t frame[FRAME_ROOM];
	uint8_t out[FRAME_ROOM];
};

static uint64_t draw(struct hft_torture *t)
{
	return split_mix(&t->random);
}

/* 0 to n - 1; 0 for n = 0. */
static uint64_t below(struct hft_torture *t, uint64_t n)
{
	return n ? draw(t) % n : 0;
}

static int happens(struct hft_torture *t, uint32_t ppm)
{
	return ppm && below(t, PPM) < ppm;
}

static uint64_t between(struct hft_torture *t, uint64_t low, uint64_t high)
{
	return low + below(t, high - low + 1);
}

static struct session *newest(const struct hft_torture *t)
{
	return t->sessions[t->state.sessions - 1];
}

/* The session that the hook follows; NULL for none of ours. */
static struct session *followed(const struct hft_torture *t)
{
	for (uint32_t i = t->state.sessions; i--;)
		if (!memcmp(t->sessions[i]->name, t->config.feed->session, SESSION_BYTES))
			return t->sessions[i];
	return NULL;
}

static const uint8_t *message_of(const struct session *session, uint64_t sequence, uint32_t *length)
{
	const uint8_t *at = session->bytes + session->offsets[sequence - 1];

	*length = get_be(at, LENGTH_BYTES);
	return at + LENGTH_BYTES;
}

/* Arrivals. */

static int earlier(const struct arrival *a, const struct arrival *b)
{
	return a->at_ns != b->at_ns ? a->at_ns < b->at_ns : a->serial < b->serial;
}

static int push(struct hft_torture *t, struct arrival arrival)
{
	uint32_t at = t->heap_count;

	if (at == t->heap_room) {
		uint32_t room = at ? at * 2 : 1024;
		struct arrival *heap = realloc(t->heap, room * sizeof(*heap));

		if (!heap)
			return -ENOMEM;
		t->heap = heap;
		t->heap_room = room;
	}
	arrival.serial = t->serial++;
	t->heap_count++;
	while (at && earlier(&arrival, &t->heap[(at - 1) / 2])) {
		t->heap[at] = t->heap[(at - 1) / 2];
		at = (at - 1) / 2;
	}
	t->heap[at] = arrival;
	return 0;
}

static struct arrival pop(struct hft_torture *t)
{
	struct arrival first = t->heap[0], last = t->heap[--t->heap_count];
	uint32_t at = 0, child;

	while ((child = 2 * at + 1) < t->heap_count) {
		if (child + 1 < t->heap_count && earlier(&t->heap[child + 1], &t->heap[child]))
			child++;
		if (!earlier(&t->heap[child], &last))
			break;
		t->heap[at] = t->heap[child];
		at = child;
	}
	t->heap[at] = last;
	return first;
}

/* A packet enters a line: lost, or due once or twice. */
static int enter_line(struct hft_torture *t, struct arrival packet, uint32_t which, int lost)
{
	const struct hft_line_faults *faults = &t->config.lines[which];
	struct line *line = &t->lines[which];
	uint64_t due_ns = packet.at_ns + between(t, faults->delay_min_ns, faults->delay_max_ns);
	int twice = happens(t, faults->duplicate_ppm), error;

	if (!line->losing && happens(t, faults->loss_ppm))
		line->losing = 1 + below(t, faults->loss_packets);
	if (line->losing) {
		line->losing--;
		lost = 1;
	}
	t->state.lost += lost;
	if (lost)
		return 0;
	packet.line = which;
	if (happens(t, faults->reorder_ppm)) {
		t->state.reordered++;
		packet.at_ns = due_ns + below(t, faults->reorder_ns + 1);
	} else {
		/* a slow path is slow for all of them: no packet overtakes another by itself */
		line->last_ns = due_ns > line->last_ns ? due_ns : line->last_ns;
		packet.at_ns = line->last_ns;
	}
	error = push(t, packet);
	if (error || !twice)
		return error;
	t->state.duplicated++;
	packet.at_ns = due_ns + below(t, faults->reorder_ns + 1);
	return push(t, packet);
}

static int enter_lines(struct hft_torture *t, struct arrival packet)
{
	int lost, error;

	if (!t->losing_both && happens(t, t->config.both_ppm))
		t->losing_both = 1 + below(t, t->config.both_packets);
	lost = t->losing_both != 0;
	t->losing_both -= lost;
	error = enter_line(t, packet, HFT_LINE_A, lost);
	return error ?: enter_line(t, packet, HFT_LINE_B, lost);
}

/* Publishing. */

static int append(struct session *session, const uint8_t *bytes, uint64_t size)
{
	if (session->size + size > session->room) {
		uint64_t room = (session->size + size) * 2;
		uint8_t *grown = realloc(session->bytes, room);

		if (!grown)
			return -ENOMEM;
		session->bytes = grown;
		session->room = room;
	}
	memcpy(session->bytes + session->size, bytes, size);
	session->size += size;
	for (uint64_t at = session->offsets[session->made]; at < session->size;
	     at += LENGTH_BYTES + get_be(session->bytes + at, LENGTH_BYTES)) {
		if (session->made + 2 > session->offsets_room) {
			uint64_t room = session->offsets_room * 2;
			uint64_t *grown = realloc(session->offsets, room * sizeof(*grown));

			if (!grown)
				return -ENOMEM;
			session->offsets = grown;
			session->offsets_room = room;
		}
		session->offsets[session->made++] = at;
		session->offsets[session->made] = at + LENGTH_BYTES + get_be(session->bytes + at, LENGTH_BYTES);
	}
	return 0;
}

/* More messages of a session, until `total` is known. */
static int make_more(struct session *session)
{
	uint64_t room = session->stage ? CHUNK : hft_market_open_room(session->market), count = 0;
	uint8_t *buffer = malloc(room);
	int64_t size;
	int error;

	if (!buffer)
		return -ENOMEM;
	if (session->stage == 0) {
		size = hft_market_open(session->market, buffer, room);
		session->stage = 1;
	} else if (session->stage == 1) {
		size = hft_market_seed(session->market, buffer, room, CHUNK, &count);
		if (size == 0)
			session->stage = 2;
	} else {
		size = hft_market_next(session->market, buffer, room, session->left, &count);
		session->left -= count;
	}
	error = size < 0 ? (int)size : append(session, buffer, size);
	free(buffer);
	if (!error && session->stage == 2 && !session->left)
		session->total = session->made;
	return error;
}

/* The next packet of the newest session: which messages, and when. */
static int plan_packet(struct hft_torture *t)
{
	struct session *session = newest(t);
	uint64_t first = session->published + 1, size = MOLD_HEADER, at_ns;
	uint32_t wanted = 1 + below(t, t->config.per_packet), count = 0;
	int error = 0;

	t->next_count = 0;
	while (!session->total && session->made < session->published + wanted && !error)
		error = make_more(session);
	if (error)
		return error;
	while (count < wanted && first + count <= session->made) {
		size += session->offsets[first + count] - session->offsets[first + count - 1];
		if (size > HFT_TRIAL_PAYLOAD)
			break;
		count++;
	}
	if (!count)
		return 0;
	/* Stamps of a packet do not run backwards; it leaves with its last message. */
	at_ns = session->day_ns + get_be(session->bytes + session->offsets[first + count - 2] + LENGTH_BYTES + 5, 6);
	t->next_at_ns = at_ns > t->state.now_ns ? at_ns : t->state.now_ns;
	t->next_first = first;
	t->next_count = count;
	return 0;
}

static int publish(struct hft_torture *t)
{
	struct session *session = newest(t);
	struct arrival packet = { .at_ns = t->next_at_ns,
				  .first = t->next_first,
				  .count = t->next_count,
				  .session = t->state.sessions - 1,
				  .kind = ARRIVES_PACKET };
	int error;

	for (uint32_t i = 0; i < t->next_count; i++) {
		uint32_t length;
		const uint8_t *message = message_of(session, t->next_first + i, &length);

		error = hft_reference_apply(session->market_book, message, length);
		if (error < 0) {
			t->config.trial->sequence = t->next_first + i;
			return error == -EBADMSG ? fault(t->config.trial, HFT_FAULT_MESSAGE, get_be(message + 1, 2), 0)
						 : error;
		}
	}
	session->published += t->next_count;
	t->state.messages += t->next_count;
	error = enter_lines(t, packet);
	return error ?: plan_packet(t);
}

/* Heartbeats of the newest session, and the next beat. */
static int beat(struct hft_torture *t, const struct arrival *due)
{
	const struct session *session = newest(t);
	struct arrival packet = *due;
	int idle = session->total && session->published == session->total, error;

	if (due->session != t->state.sessions - 1)
		return 0; /* of a session that is no more */
	packet.kind = session->ending ? ARRIVES_END : ARRIVES_HEARTBEAT;
	packet.first = session->published + 1;
	error = enter_lines(t, packet);
	packet.kind = BEAT;
	packet.at_ns = due->at_ns + (idle ? t->config.idle_heartbeat_ns : t->config.heartbeat_ns);
	return error ?: push(t, packet);
}

/* The truth at the hook's next message. */
static int follow(struct hft_torture *t, struct session *session)
{
	uint64_t expected = t->config.feed->expected_seq;
	struct hft_trial *trial = t->config.trial;

	for (; session->truth_next < expected; session->truth_next++) {
		uint32_t length;
		const uint8_t *message = message_of(session, session->truth_next, &length);
		int result = hft_reference_apply(session->truth, message, length);

		trial->sequence = session->truth_next;
		if (result < 0)
			return result == -EBADMSG ? fault(trial, HFT_FAULT_MESSAGE, get_be(message + 1, 2), 0) : result;
	}
	trial->slots = session->slots;
	trial->sequence = expected;
	return 0;
}

static int compare_symbol(struct hft_torture *t, struct session *session, uint32_t locate)
{
	struct hft_trial *trial = t->config.trial;
	const struct hft_book *book;

	if (!session->slots[locate])
		return 0;
	book = &trial->books[session->slots[locate] - 1];
	if (book->health != HFT_BOOK_OK)
		return 0;
	if (!book->locate && !hft_reference_orders(session->truth, locate))
		return 0; /* not listed yet today */
	return hft_trial_compare(trial, session->truth, locate) ?: 1;
}

int hft_torture_compare(struct hft_torture *t)
{
	struct session *session = followed(t);
	int compared = 0, result = session ? follow(t, session) : 0;

	if (!session || result)
		return result;
	for (uint32_t locate = 1; locate < HFT_LOCATES; locate++) {
		result = compare_symbol(t, session, locate);
		if (result < 0)
			return result;
		compared += result;
	}
	return compared;
}

/* What a packet touched, if the hook has applied it. */
static int compare_packet(struct hft_torture *t, const struct arrival *packet)
{
	struct session *session = followed(t);
	uint32_t touched[MOST_TOUCHED], count = 0;
	int result;

	if (!session || session != t->sessions[packet->session] ||
	    t->config.feed->expected_seq < packet->first + packet->count)
		return 0;
	result = follow(t, session);
	if (result)
		return result;
	for (uint32_t i = 0; i < packet->count; i++) {
		uint32_t length;
		const uint8_t *message = message_of(session, packet->first + i, &length);

		touch(touched, &count, get_be(message + 1, 2));
	}
	for (uint32_t i = 0; i < count; i++) {
		result = compare_symbol(t, session, touched[i]);
		if (result < 0)
			return result;
	}
	return 0;
}

/* Frames. */

/* Run the frame in `frame`, whose payload of `length` bytes is there: the verdict. */
static int run_frame(struct hft_torture *t, const uint8_t *headers, uint32_t length, uint32_t *out_length)
{
	LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = t->frame, .data_size_in = PAYLOAD + length,
		    .data_out = t->out, .data_size_out = sizeof(t->out));
	uint32_t sum = 0;

	memcpy(t->frame, headers, PAYLOAD);
	put_be(t->frame + IPV4 + 2, UDP - IPV4 + PAYLOAD - UDP + length, 2);
	put_be(t->frame + IPV4 + 10, 0, 2);
	for (unsigned int i = IPV4; i < UDP; i += 2)
		sum += get_be(t->frame + i, 2);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	put_be(t->frame + IPV4 + 10, ~sum & 0xffff, 2);
	put_be(t->frame + UDP + 4, PAYLOAD - UDP + length, 2);
	put_be(t->frame + UDP + 6, 0, 2);
	if (bpf_prog_test_run_opts(t->config.trial->program_fd, &options))
		return -errno;
	*out_length = options.data_size_out;
	return options.retval;
}

/* An order is on its way to the exchange: was it allowed to leave? Its replies are due later. */
static int take_order(struct hft_torture *t, struct session *session, const uint8_t *order)
{
	struct hft_trial *trial = t->config.trial;
	uint32_t user_ref = get_be(order + ORDER_REF, 4), side = order[ORDER_SIDE] == 'B' ? HFT_BUY : HFT_SELL, count;
	const struct hft_working *working = &t->config.working[user_ref & (HFT_MAX_WORKING - 1)];
	uint32_t slot = working->symbol & (HFT_MAX_SYMBOLS - 1);
	const struct hft_book *book = &trial->books[slot];
	const struct hft_feed_state *feed = t->config.feed;
	const struct hft_level *best;
	struct arrival reply = {
		.at_ns = t->state.now_ns + between(t, t->config.reply_min_ns, t->config.reply_max_ns),
		.first = get_be(order + ORDER_PRICE, 8),
		.count = get_be(order + ORDER_QTY, 4),
		.user_ref = user_ref,
		.kind = ARRIVES_REPLY,
	};

	if (feed->health != HFT_FEED_LIVE || feed->expected_seq != feed->highest_seq)
		return fault(trial, HFT_FAULT_TX_FEED, book->locate, slot);
	if (working->user_ref != user_ref || memcmp(book->name, order + ORDER_SYMBOL, NAME_BYTES))
		return fault(trial, HFT_FAULT_TX_FRAME, book->locate, slot);
	if (book->health != HFT_BOOK_OK)
		return fault(trial, HFT_FAULT_TX_BOOK, book->locate, slot);
	best = hft_reference_side(session->truth, book->locate, !side, &count);
	if (!count || best->price_e4 != reply.first)
		return fault(trial, HFT_FAULT_TX_PRICE, book->locate, slot);
	t->state.orders++;
	return push(t, reply);
}

static int take_orders(struct hft_torture *t, uint32_t length)
{
	struct hft_trial *trial = t->config.trial;
	struct session *session = followed(t);
	int error;

	t->state.tx_frames++;
	if (!session || length < PAYLOAD + ORDER_BYTES || (length - PAYLOAD) % ORDER_BYTES)
		return fault(trial, HFT_FAULT_TX_FRAME, 0, 0);
	error = follow(t, session);
	for (uint32_t at = PAYLOAD; at < length && !error; at += ORDER_BYTES)
		error = take_order(t, session, t->out + at);
	return error;
}

static int note_outage(struct hft_torture *t)
{
	if (t->state.outage_count == t->outage_room) {
		uint64_t room = t->outage_room ? t->outage_room * 2 : 64;
		struct hft_outage *outages = realloc(t->outages, room * sizeof(*outages));

		if (!outages)
			return -ENOMEM;
		t->outages = outages;
		t->outage_room = room;
	}
	t->outages[t->state.outage_count++] = (struct hft_outage){
		.began_ns = t->missing_since_ns,
		.ended_ns = t->state.now_ns,
		.wall_began_ns = t->missing_wall_ns,
		.wall_ended_ns = monotonic_ns(),
	};
	return 0;
}

/* Did something begin to be missing, or end to? */
static int watch_feed(struct hft_torture *t)
{
	const struct hft_feed_state *feed = t->config.feed;
	int missing = feed->expected_seq != feed->highest_seq, error = 0;
	uint64_t held_ns = t->state.now_ns - t->missing_since_ns;

	if (missing && !t->state.missing) {
		t->missing_since_ns = t->state.now_ns;
		t->missing_wall_ns = monotonic_ns();
		t->is_gap = 0;
	}
	t->is_gap |= missing && feed->health == HFT_FEED_GAP;
	if (!missing && t->state.missing) {
		if (t->is_gap) {
			error = note_outage(t);
		} else {
			t->state.holds++;
			if (held_ns > t->state.longest_hold_ns)
				t->state.longest_hold_ns = held_ns;
		}
	}
	t->state.missing = missing;
	return error;
}

/* Nothing but a packet of another session is passed on. */
static int pass_on(struct hft_torture *t)
{
	const uint8_t *name = t->frame + PAYLOAD;

	if (!memcmp(name, t->config.feed->session, SESSION_BYTES))
		return fault(t->config.trial, HFT_FAULT_VERDICT, 0, 0);
	t->state.passed++;
	t->state.passed_newest += !memcmp(name, newest(t)->name, SESSION_BYTES);
	return 0;
}

/* Run a feed packet that is in `frame`. */
static int run_feed(struct hft_torture *t, uint32_t line, uint32_t length)
{
	const uint8_t *headers = t->config.line_headers + (size_t)line * HFT_TRIAL_HEADERS;
	struct hft_trial *trial = t->config.trial;
	uint32_t out_length;
	int verdict = run_frame(t, headers, length, &out_length), error = 0;

	if (verdict < 0)
		return verdict;
	trial->payload_len = length < sizeof(trial->payload) ? length : sizeof(trial->payload);
	memcpy(trial->payload, t->frame + PAYLOAD, trial->payload_len);
	trial->verdict = verdict;
	trial->packets++;
	if (verdict == XDP_TX)
		error = take_orders(t, out_length);
	else if (verdict == XDP_PASS)
		error = pass_on(t);
	else if (verdict != XDP_DROP)
		error = fault(trial, HFT_FAULT_VERDICT, 0, 0);
	return error ?: watch_feed(t);
}

static int deliver_packet(struct hft_torture *t, const struct arrival *packet)
{
	const struct session *session = t->sessions[packet->session];
	uint32_t count = packet->kind == ARRIVES_END ? END_OF_SESSION : packet->count, size;
	uint8_t *payload = t->frame + PAYLOAD;
	int error;

	size = put_mold_header(payload, session->name, packet->first, count);
	if (packet->kind == ARRIVES_PACKET) {
		uint64_t from = session->offsets[packet->first - 1];
		uint64_t bytes = session->offsets[packet->first - 1 + packet->count] - from;

		memcpy(payload + size, session->bytes + from, bytes);
		size += bytes;
	}
	t->state.packets++;
	error = run_feed(t, packet->line, size);
	if (!error && packet->kind == ARRIVES_PACKET && !below(t, t->config.compare_packets))
		error = compare_packet(t, packet);
	return error;
}

/* The exchange's answer to an order: one of what can become of it. */
static int deliver_replies(struct hft_torture *t, const struct arrival *reply)
{
	uint8_t *payload = t->frame + PAYLOAD, *at = payload + REPLY_HEADER;
	const struct hft_working *working = &t->config.working[reply->user_ref & (HFT_MAX_WORKING - 1)];
	uint32_t fate = below(t, 4), filled = 0, messages = 0, out_length;
	int verdict;

	memset(payload, 0, REPLY_HEADER + 3 * (2 + ACCEPTED_BYTES));
	if (fate == 0) {
		put_be(at, REJECTED_BYTES, 2);
		at[2] = 'J';
		put_be(at + 3, reply->at_ns, 8);
		put_be(at + 11, reply->user_ref, 4);
		at += 2 + REJECTED_BYTES;
		messages++;
	} else {
		put_be(at, ACCEPTED_BYTES, 2);
		at[2] = 'A';
		put_be(at + 3, reply->at_ns, 8);
		put_be(at + 11, reply->user_ref, 4);
		at[15] = working->side == HFT_BUY ? 'B' : 'S';
		put_be(at + 16, reply->count, 4);
		memcpy(at + 20, t->config.trial->books[working->symbol & (HFT_MAX_SYMBOLS - 1)].name, NAME_BYTES);
		put_be(at + 28, reply->first, 8);
		at[49] = 'L';
		at += 2 + ACCEPTED_BYTES;
		messages++;
		filled = fate == 1 ? 0 : fate == 2 ? reply->count : 1 + below(t, reply->count);
	}
	if (filled) {
		put_be(at, EXECUTED_BYTES, 2);
		at[2] = 'E';
		put_be(at + 3, reply->at_ns, 8);
		put_be(at + 11, reply->user_ref, 4);
		put_be(at + 15, filled, 4);
		put_be(at + 19, reply->first, 8);
		at[27] = 'R';
		put_be(at + 28, ++t->match, 8);
		at += 2 + EXECUTED_BYTES;
		messages++;
	}
	if (fate && filled < reply->count) {
		put_be(at, CANCELED_BYTES, 2);
		at[2] = 'C';
		put_be(at + 3, reply->at_ns, 8);
		put_be(at + 11, reply->user_ref, 4);
		put_be(at + 15, reply->count - filled, 4);
		at[19] = 'U';
		at += 2 + CANCELED_BYTES;
		messages++;
	}
	payload[0] = 'S';
	put_be(payload + 1, t->reply_sequence, 4);
	put_be(payload + 5, messages, 2);
	t->reply_sequence += messages;
	t->state.replies += messages;
	verdict = run_frame(t, t->config.reply_headers, at - payload, &out_length);
	if (verdict < 0)
		return verdict;
	t->config.trial->verdict = verdict;
	return verdict == XDP_PASS ? 0 : fault(t->config.trial, HFT_FAULT_VERDICT, 0, 0);
}

static int deliver(struct hft_torture *t, const struct arrival *arrival)
{
	switch (arrival->kind) {
	case BEAT:
		return beat(t, arrival);
	case ARRIVES_REPLY:
		return deliver_replies(t, arrival);
	default:
		return deliver_packet(t, arrival);
	}
}

static int compare_all(struct hft_torture *t)
{
	int result;

	if (t->state.messages < t->compare_at)
		return 0;
	t->compare_at += t->config.compare_messages;
	result = hft_torture_compare(t);
	return result < 0 ? result : 0;
}

int hft_torture_run(struct hft_torture *t, uint64_t until_ns)
{
	int error = watch_feed(t); /* a command may have ended what was missing */

	if (error)
		return error;
	for (;;) {
		const struct session *session = newest(t);
		int publishing = t->next_count && (!t->heap_count || t->next_at_ns <= t->heap[0].at_ns);
		uint64_t at_ns;

		if (session->total && session->published == session->total && !t->told_published) {
			t->told_published = 1;
			return HFT_PAUSE_PUBLISHED;
		}
		if (!publishing && !t->heap_count)
			return -ENODATA; /* cannot be: there is always a beat to come */
		at_ns = publishing ? t->next_at_ns : t->heap[0].at_ns;
		if (at_ns > until_ns) {
			t->state.now_ns = until_ns > t->state.now_ns ? until_ns : t->state.now_ns;
			return HFT_PAUSE_TIME;
		}
		t->state.now_ns = at_ns;
		if (publishing) {
			error = publish(t);
		} else {
			struct arrival arrival = pop(t);

			error = deliver(t, &arrival);
		}
		error = error ?: compare_all(t);
		if (error)
			return error;
	}
}

int hft_torture_reply(struct hft_torture *t, const uint8_t *payload, uint32_t length)
{
	if (length > HFT_MAX_FRAME - PAYLOAD)
		return -EMSGSIZE;
	memcpy(t->frame + PAYLOAD, payload, length);
	return run_feed(t, HFT_LINE_REREQUEST, length);
}

/* Life. */

static void destroy_session(struct session *session)
{
	hft_reference_destroy(session->market_book);
	hft_reference_destroy(session->truth);
	free(session->bytes);
	free(session->offsets);
	free(session);
}

struct hft_torture *hft_torture_create(const struct hft_torture_config *config, int *error)
{
	struct hft_torture *t = calloc(1, sizeof(*t));

	*error = t ? 0 : -ENOMEM;
	if (!t)
		return NULL;
	t->config = *config;
	t->random = config->seed;
	t->reply_sequence = 1;
	t->compare_at = config->compare_messages;
	return t;
}

void hft_torture_destroy(struct hft_torture *t)
{
	if (!t)
		return;
	for (uint32_t i = 0; i < t->state.sessions; i++)
		destroy_session(t->sessions[i]);
	free(t->sessions);
	free(t->heap);
	free(t->outages);
	free(t);
}

void hft_torture_look(const struct hft_torture *t, struct hft_torture_state *state)
{
	*state = t->state;
	if (t->state.sessions) {
		state->published = newest(t)->published;
		state->total = newest(t)->total;
	}
}

/* The day of a session begins so that its first message is due now. */
static int begin_day(struct hft_torture *t, struct session *session)
{
	int error = make_more(session);

	if (!error)
		session->day_ns = t->state.now_ns - get_be(session->bytes + LENGTH_BYTES + 5, 6);
	return error;
}

int hft_torture_session(struct hft_torture *t, struct hft_market *market, const uint8_t *name, const uint16_t *slots,
			uint64_t messages)
{
	struct session *session = calloc(1, sizeof(*session));
	struct session **sessions = realloc(t->sessions, (t->state.sessions + 1) * sizeof(*sessions));
	struct arrival first = { .kind = BEAT, .session = t->state.sessions };
	int error = -ENOMEM;

	if (sessions)
		t->sessions = sessions;
	if (!session || !sessions) {
		free(session);
		return error;
	}
	memcpy(session->name, name, SESSION_BYTES);
	session->market = market;
	session->slots = slots;
	session->left = messages;
	session->truth_next = 1;
	session->offsets_room = 4096;
	session->offsets = calloc(session->offsets_room, sizeof(*session->offsets));
	session->truth = hft_reference_create(&error);
	if (session->truth)
		session->market_book = hft_reference_create(&error);
	if (!session->offsets || !session->market_book) {
		destroy_session(session);
		return -ENOMEM;
	}
	t->sessions[t->state.sessions++] = session;
	t->told_published = 0;
	error = begin_day(t, session);
	first.at_ns = t->state.now_ns + t->config.heartbeat_ns;
	error = error ?: push(t, first);
	return error ?: plan_packet(t);
}

void hft_torture_end(struct hft_torture *t)
{
	newest(t)->ending = 1;
}

const uint8_t *hft_torture_message(const struct hft_torture *t, const uint8_t *name, uint64_t sequence,
				   uint32_t *length)
{
	for (uint32_t i = t->state.sessions; i--;) {
		const struct session *session = t->sessions[i];

		if (!memcmp(session->name, name, SESSION_BYTES))
			return sequence && sequence <= session->published ? message_of(session, sequence, length)
									  : NULL;
	}
	return NULL;
}

int64_t hft_torture_snapshot(struct hft_torture *t, uint8_t *buffer, uint64_t room)
{
	return hft_reference_snapshot(newest(t)->market_book, buffer, room);
}

const struct hft_reference *hft_torture_truth(const struct hft_torture *t)
{
	const struct session *session = followed(t);

	return session ? session->truth : NULL;
}

uint32_t hft_torture_outages(const struct hft_torture *t, uint64_t first, struct hft_outage *outages, uint32_t room)
{
	uint32_t count = 0;

	for (; count < room && first + count < t->state.outage_count; count++)
		outages[count] = t->outages[first + count];
	return count;
}

/* Burst. */

int hft_burst_send(int socket_fd, const uint8_t *frames, uint32_t count, const uint64_t *due_ns, uint64_t *took_ns)
{
	uint64_t began_ns = monotonic_ns();
	uint32_t length;

	for (uint32_t i = 0; i < count; i++, frames += length) {
		memcpy(&length, frames, sizeof(length));
		frames += sizeof(length);
		while (monotonic_ns() - began_ns < due_ns[i])
			; /* busy: a sleep would be longer than what is waited for */
		while (send(socket_fd, frames, length, 0) < 0)
			if (errno != ENOBUFS && errno != EINTR && errno != EAGAIN)
				return -errno;
	}
	*took_ns = monotonic_ns() - began_ns;
	return 0;
}
