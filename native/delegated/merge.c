/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <linux/sockios.h>

#include "merge.h"

#define REPAIR_ON 1
#define REPAIR_OFF (-1) /* without a window probe */
#define RECEIVE_QUEUE 1
#define SEND_QUEUE 2
#define UNSENT_TRIES 1000

static int tcp_set(int socket, int option, int value)
{
	return setsockopt(socket, IPPROTO_TCP, option, &value, sizeof(value)) ? -errno : 0;
}

/* Into repair mode, on one of the queues: nothing that is written now leaves. *seq is where the queue ends. */
static int repair_on(int socket, int queue, uint32_t *seq)
{
	socklen_t length = sizeof(*seq);
	int error = tcp_set(socket, TCP_REPAIR, REPAIR_ON);

	if (!error)
		error = tcp_set(socket, TCP_REPAIR_QUEUE, queue);
	if (!error && getsockopt(socket, IPPROTO_TCP, TCP_QUEUE_SEQ, seq, &length))
		error = -errno;
	return error;
}

static int repair_begin(int socket, uint32_t *seq)
{
	return repair_on(socket, SEND_QUEUE, seq);
}

static int repair_end(int socket)
{
	return tcp_set(socket, TCP_REPAIR, REPAIR_OFF);
}

int socket_seq(int socket, uint32_t *seq)
{
	int error = repair_begin(socket, seq), ended = repair_end(socket);

	return error ?: ended;
}

int socket_read_seq(int socket, uint32_t *seq)
{
	int error = repair_on(socket, RECEIVE_QUEUE, seq), ended = repair_end(socket), unread = 0;

	if (!error && ioctl(socket, SIOCINQ, &unread))
		error = -errno;
	*seq -= (uint32_t)unread;
	return error ?: ended;
}

static int socket_bytes(int socket, unsigned long request)
{
	int bytes;

	return ioctl(socket, request, &bytes) ? -errno : bytes;
}

int socket_unsent(int socket)
{
	return socket_bytes(socket, SIOCOUTQNSD);
}

int socket_unacknowledged(int socket)
{
	return socket_bytes(socket, SIOCOUTQ);
}

void socket_reusable(int socket)
{
	int yes = 1;

	setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
}

/* The rest of a send, of which the kernel has all below *seq. -EAGAIN when it takes no more now. */
static int queue_send(int socket, const struct hft_send *send, uint32_t *seq)
{
	for (;;) {
		uint32_t has = *seq - send->seq;
		ssize_t taken;

		if (GUARD(ORDER, has > send->length || send->length > sizeof(send->bytes)))
			return -EPROTO;
		if (has == send->length)
			return 0;
		taken = sendto(socket, send->bytes + has, send->length - has, MSG_DONTWAIT | MSG_NOSIGNAL, NULL, 0);
		if (taken < 0 && errno == EINTR)
			continue;
		if (taken < 0)
			return errno == ENOMEM || errno == ENOBUFS ? -EAGAIN : -errno;
		*seq += (uint32_t)taken;
	}
}

/* Queued as sent, all of it. What is still there would only be sent again when repair mode ends. */
static void await_queued(int socket)
{
	for (int i = 0; i < UNSENT_TRIES && socket_unsent(socket) > 0; i++)
		;
}

int merge_pending(struct merge *merge)
{
	struct hft_tcp_wire *wire = merge->wire;
	uint32_t waiting = word_unmerged(word_load(wire)), merged = 0, seq;
	int error, ended;

	if (!waiting)
		return 0;
	DIE_AT(1);
	error = repair_begin(merge->socket, &seq);
	DIE_AT(2);
	if (!error) {
		for (; merged < waiting && !error; merged += !error)
			error = queue_send(merge->socket, &wire->send[(merge->tail + merged) & (HFT_MAX_UNMERGED - 1)],
					   &seq);
		DIE_AT(3);
		await_queued(merge->socket);
	}
	DIE_AT(4);
	ended = repair_end(merge->socket);
	DIE_AT(5);
	if (error == -EAGAIN)
		merge->retries++;
	if (!ended && (!error || error == -EAGAIN) && merged) {
		merge->tail += merged;
		merge->batches++;
		__atomic_store_n(&wire->merged_seq, seq, __ATOMIC_SEQ_CST);
		DIE_AT(6);
		__atomic_fetch_sub(&wire->word, (uint64_t)merged << HFT_WIRE_UNMERGED_SHIFT, __ATOMIC_SEQ_CST);
		DIE_AT(7);
	}
	return ended ?: error ?: (int)merged;
}

int merge_rest(int socket, struct hft_tcp_wire *wire)
{
	uint64_t fired = __atomic_load_n(&wire->fired, __ATOMIC_SEQ_CST);
	uint64_t at = fired > HFT_MAX_UNMERGED ? fired - HFT_MAX_UNMERGED : 0;
	uint64_t word = word_load(wire);
	uint32_t seq, end = word_seq(word);
	int error = repair_begin(socket, &seq), ended;

	for (; !error && at < fired; at++) {
		const struct hft_send *send = &wire->send[at & (HFT_MAX_UNMERGED - 1)];

		if ((int32_t)(send->seq + send->length - seq) <= 0)
			continue; /* the kernel has it */
		while ((error = queue_send(socket, send, &seq)) == -EAGAIN)
			;
	}
	/* Whoever died with the wire in its hand may have written behind the word's sequence. */
	if (!error && (word & HFT_WIRE_HELD ? (int32_t)(seq - end) < 0 : seq != end))
		error = -EPROTO;
	if (!error)
		await_queued(socket);
	ended = repair_end(socket);
	if (error || ended)
		return error ?: ended;
	__atomic_store_n(&wire->merged_seq, seq, __ATOMIC_SEQ_CST);
	__atomic_fetch_and(&wire->word, ~(0xffULL << HFT_WIRE_UNMERGED_SHIFT), __ATOMIC_SEQ_CST);
	return 0;
}
