/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <linux/bpf.h>
#include <linux/tcp.h>

#include "merge.h"
#include "hft.h"

#include "ack.h"
#include "delegated.h"
#include "egress.h"
#include "keeper.h"
#include "merge.h"

#define SEND_BUFFER (8 << 20)
#define SPINS 200 /* looks at the word before a sleep */
#define PAUSE_NS 20000
#define ACK_POLL_NS 100000
#define RETRY_NS 20000
#define USEC_TIMESTAMPS 64 /* TCPI_OPT_USEC_TS of newer kernels */
#define SEQ(seq) ((uint64_t)(seq) << HFT_WIRE_SEQ_SHIFT)

struct hft_delegated {
	struct hft_delegated_setup setup;
	struct hft_tcp_wire *wire;
	struct merge merge;
	struct ack_way way;
	struct ack_copy acks;
	struct keeper keeper;
	pthread_mutex_t sending; /* of ordinary sends, arming and disarming */
	bool armed; /* by whom holds the session: the hook may send whenever the wire is free */
	bool open; /* by whom holds the session: what waits may be sent */
	bool held; /* the word says HELD, and is ours to give back; seq is what it will say */
	uint32_t seq;
	uint64_t sent;
	uint64_t longest_wait_ns; /* of what was handed over */
	uint32_t read_seq; /* of the next byte that the peer sent */
	pthread_t merger;
	pthread_t redeliverer;
	int threads; /* started */
	int stop;
	int error;
};

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000ULL + now.tv_nsec;
}

static void rest(unsigned int ns)
{
	const struct timespec moment = { .tv_nsec = ns };

	nanosleep(&moment, NULL);
}

static bool stopped(struct hft_delegated *session)
{
	return __atomic_load_n(&session->stop, __ATOMIC_RELAXED);
}

/* The wire word */

static void word_clear(struct hft_tcp_wire *wire, uint64_t flags)
{
	__atomic_fetch_and(&wire->word, ~flags, __ATOMIC_SEQ_CST);
}

static void word_close(struct hft_tcp_wire *wire)
{
	__atomic_fetch_or(&wire->word, HFT_WIRE_CLOSED, __ATOMIC_SEQ_CST);
}

/* ARMED, or nothing at all -> HELD, once all is merged. 0, -EAGAIN for now, -EPIPE for good. */
static int word_take(struct hft_delegated *session)
{
	uint64_t word = word_load(session->wire);

	if (word & HFT_WIRE_CLOSED)
		return -EPIPE;
	if (GUARD(OWNER, word & (HFT_WIRE_FIRING | HFT_WIRE_HELD) || word_unmerged(word)))
		return -EAGAIN;
	if (!__atomic_compare_exchange_n(&session->wire->word, &word, SEQ(word_seq(word)) | HFT_WIRE_HELD, false,
					 __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
		return -EAGAIN;
	session->held = true;
	session->seq = word_seq(word);
	return 0;
}

/* Packets of a length and so many bytes, one behind the other, and nothing behind the last. */
static bool whole_packets(const uint8_t *packets, unsigned int length)
{
	unsigned int at = 0;

	while (length - at >= 3) {
		unsigned int bytes = (unsigned int)packets[at] << 8 | packets[at + 1];

		if (!bytes || bytes > length - at - 2)
			return false;
		at += 2 + bytes;
	}
	return length && at == length;
}

/* Once it is begun it is written to its end, whatever the time: half a packet must not be all. */
static int write_all(struct hft_delegated *session, const uint8_t *bytes, unsigned int length)
{
	unsigned int at = 0;

	while (at < length) {
		ssize_t taken = send(session->setup.socket, bytes + at, length - at, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (taken < 0 && errno == EINTR)
			continue;
		if (taken < 0 && (errno == EAGAIN || errno == ENOMEM || errno == ENOBUFS)) {
			rest(RETRY_NS);
			continue;
		}
		if (taken < 0)
			return -errno;
		at += (unsigned int)taken;
	}
	return 0;
}

/* Handed over by the hook, and not sent yet. */
static uint64_t waiting(const struct hft_delegated *session)
{
	return __atomic_load_n(&session->wire->handed, __ATOMIC_SEQ_CST) -
	       __atomic_load_n(&session->wire->handed_sent, __ATOMIC_SEQ_CST);
}

static bool lease_holds(const struct hft_delegated *session)
{
	return !GUARD(LEASE, now_ns() >= __atomic_load_n(session->setup.lease_until_ns, __ATOMIC_SEQ_CST));
}

/* The word is HELD: what waits is sent in the ordinary way, in order. Without a lease it goes on waiting. */
static int send_waiting(struct hft_delegated *session)
{
	struct hft_tcp_wire *wire = session->wire;
	int error;

	word_clear(wire, HFT_WIRE_WAITING); /* what comes from here on says so anew */
	while (session->open && waiting(session) && lease_holds(session)) {
		struct hft_waiting *one = &wire->waiting[wire->handed_sent & (HFT_MAX_WAITING - 1)];
		uint64_t now;

		if (one->length > sizeof(one->bytes) || GUARD(WHOLE, !whole_packets(one->bytes, one->length)))
			return -EBADMSG;
		DIE_AT(8);
		error = write_all(session, one->bytes, one->length);
		DIE_AT(9);
		if (error)
			return error;
		session->seq += one->length;
		now = now_ns();
		if (now - one->handed_ns > session->longest_wait_ns)
			session->longest_wait_ns = now - one->handed_ns;
		one->left_ns = now;
		__atomic_fetch_add(&wire->handed_sent, 1, __ATOMIC_SEQ_CST);
	}
	return 0;
}

/* Lost: nothing can be sent any more, by anybody. */
static void fail(struct hft_delegated *session, int error)
{
	word_close(session->wire);
	__atomic_store_n(&session->error, error, __ATOMIC_SEQ_CST);
}

/*
 * HELD -> ARMED, or nothing: only when the kernel has sent all that it was given, and `seq` is at the end of a packet. What waits is sent
 * before; if it may not be sent now, the hook sends nothing newer either.
 */
static int word_give(struct hft_delegated *session)
{
	uint64_t next, word;
	int unsent, error = send_waiting(session);

	if (error) {
		fail(session, error);
		return error;
	}
	unsent = socket_unsent(session->setup.socket);
	if (GUARD(UNSENT, unsent))
		return unsent < 0 ? unsent : -EAGAIN;
	word = word_load(session->wire);
	if (word & HFT_WIRE_WAITING)
		return -EAGAIN;
	next = SEQ(session->seq) | (session->armed ? HFT_WIRE_ARMED : 0) | (waiting(session) ? HFT_WIRE_WAITING : 0);
	__atomic_store_n(&session->wire->merged_seq, session->seq, __ATOMIC_SEQ_CST);
	while (!__atomic_compare_exchange_n(&session->wire->word, &word, next, false, __ATOMIC_SEQ_CST,
					    __ATOMIC_SEQ_CST)) {
		if (word & HFT_WIRE_WAITING)
			return -EAGAIN;
		if (word & HFT_WIRE_CLOSED)
			next = SEQ(session->seq) | HFT_WIRE_CLOSED;
	}
	session->held = false;
	return 0;
}

/* Try until it says something else than -EAGAIN, or the time is over. */
static int insist(struct hft_delegated *session, int (*step)(struct hft_delegated *), uint64_t until)
{
	int error;

	for (unsigned int tries = 0; (error = step(session)) == -EAGAIN; tries++) {
		if (now_ns() >= until)
			return -ETIMEDOUT;
		if (tries >= SPINS)
			rest(PAUSE_NS);
	}
	return error;
}

/* Threads */

/* What the kernel had not sent when it was to be given back, and what the hook has handed over. */
static void look_after_wire(struct hft_delegated *session)
{
	bool waits = word_load(session->wire) & HFT_WIRE_WAITING && lease_holds(session);

	if (!waits && !__atomic_load_n(&session->held, __ATOMIC_RELAXED))
		return;
	if (pthread_mutex_trylock(&session->sending))
		return;
	if (session->held || (waits && session->open && !word_take(session)))
		word_give(session);
	pthread_mutex_unlock(&session->sending);
}

static void *merge_loop(void *of)
{
	struct hft_delegated *session = of;
	int result;

	while (!stopped(session)) {
		result = merge_pending(&session->merge);
		if (result == -EAGAIN) {
			rest(RETRY_NS);
		} else if (result < 0) {
			fail(session, result);
			break;
		} else if (!result) {
			look_after_wire(session);
			if (session->setup.poll_ns)
				rest(session->setup.poll_ns);
			else
				__builtin_ia32_pause();
		}
	}
	return NULL;
}

static void *redeliver_loop(void *of)
{
	struct hft_delegated *session = of;

	while (!stopped(session)) {
		ack_deliver(session->setup.socket, session->wire, &session->way, &session->acks);
		rest(ACK_POLL_NS);
	}
	return NULL;
}

static int start_thread(struct hft_delegated *session, pthread_t *thread, void *(*loop)(void *), int cpu)
{
	pthread_attr_t attributes;
	sigset_t all, before;
	int error;

	pthread_attr_init(&attributes);
	if (cpu >= 0) {
		cpu_set_t set;

		CPU_ZERO(&set);
		CPU_SET(cpu, &set);
		error = -pthread_attr_setaffinity_np(&attributes, sizeof(set), &set);
		if (error) {
			pthread_attr_destroy(&attributes);
			return error;
		}
	}
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	error = -pthread_create(thread, &attributes, loop, session);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attributes);
	session->threads += !error;
	return error;
}

static void stop_threads(struct hft_delegated *session)
{
	__atomic_store_n(&session->stop, 1, __ATOMIC_SEQ_CST);
	if (session->threads > 0)
		pthread_join(session->merger, NULL);
	if (session->threads > 1)
		pthread_join(session->redeliverer, NULL);
	session->threads = 0;
}

/* Taking a connection over */

static int tcp_option(int socket, int option, int value)
{
	return setsockopt(socket, IPPROTO_TCP, option, &value, sizeof(value)) ? -errno : 0;
}

/* One that sends at once: a pacing one would make the merge wait. */
static int set_congestion(int socket)
{
	static const char *const names[] = { "cubic", "reno" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (!setsockopt(socket, IPPROTO_TCP, TCP_CONGESTION, names[i], (socklen_t)strlen(names[i])))
			return 0;
	return -errno;
}

static int tune(int socket)
{
	int buffer = SEND_BUFFER, error;

	error = tcp_option(socket, TCP_NODELAY, 1);
	if (!error)
		error = set_congestion(socket);
	if (!error && setsockopt(socket, SOL_SOCKET, SO_SNDBUFFORCE, &buffer, sizeof(buffer)))
		error = -errno;
	return error;
}

static int name_connection(int socket, struct hft_tcp_wire *wire)
{
	struct sockaddr_in local = {}, remote = {};
	socklen_t length = sizeof(local);

	if (getsockname(socket, (struct sockaddr *)&local, &length))
		return -errno;
	length = sizeof(remote);
	if (getpeername(socket, (struct sockaddr *)&remote, &length))
		return -errno;
	if (local.sin_family != AF_INET || remote.sin_family != AF_INET)
		return -EAFNOSUPPORT;
	wire->local_addr_be = local.sin_addr.s_addr;
	wire->local_port_be = local.sin_port;
	wire->remote_port_be = remote.sin_port;
	__atomic_store_n(&wire->remote_addr_be, remote.sin_addr.s_addr,
			 __ATOMIC_SEQ_CST); /* last: from here on it counts */
	return 0;
}

static int info_of(int socket, struct tcp_info *info)
{
	socklen_t length = sizeof(*info);

	memset(info, 0, sizeof(*info));
	return getsockopt(socket, IPPROTO_TCP, TCP_INFO, info, &length) ? -errno : 0;
}

/* The wire of a connection that nobody has sent on but by the kernel; not armed. */
static int describe(struct hft_delegated *session)
{
	int socket = session->setup.socket, error;
	struct hft_tcp_wire *wire = session->wire;
	uint64_t handed = wire->handed, handed_sent = wire->handed_sent; /* what waits still waits for this one */
	struct tcp_info info;
	uint32_t seq;

	error = info_of(socket, &info);
	if (error)
		return error;
	if (info.tcpi_state != 1 /* TCP_ESTABLISHED */)
		return -ENOTCONN;
	if (info.tcpi_options & (USEC_TIMESTAMPS | TCPI_OPT_ECN))
		return -EPROTONOSUPPORT;
	error = socket_seq(socket, &seq) ?: socket_read_seq(socket, &session->read_seq);
	if (error)
		return error;
	__atomic_store_n(&wire->remote_addr_be, 0, __ATOMIC_SEQ_CST);
	memset(wire, 0, offsetof(struct hft_tcp_wire, send));
	wire->handed = handed;
	wire->handed_sent = handed_sent;
	wire->merged_seq = seq;
	wire->timestamps = !!(info.tcpi_options & TCPI_OPT_TIMESTAMPS);
	wire->rcv_wscale = info.tcpi_options & TCPI_OPT_WSCALE ? info.tcpi_rcv_wscale : 0;
	__atomic_store_n(&wire->word, SEQ(seq), __ATOMIC_SEQ_CST);
	return name_connection(socket, wire);
}

static int open_session(struct hft_delegated *session)
{
	const struct hft_delegated_setup *setup = &session->setup;
	const struct keeper_charge charge = { setup->socket, setup->link_fd, setup->ifindex, session->wire };
	int error = tune(setup->socket);

	if (!error)
		error = describe(session);
	if (!error) {
		session->way.pass_fd = hft_load_constant(XDP_PASS);
		error = session->way.pass_fd < 0 ? session->way.pass_fd : 0;
	}
	if (!error && GUARD(EGRESS, 1))
		error = egress_attach(setup->ifindex, setup->wire_fd);
	if (!error && GUARD(KEEPER, 1))
		error = keeper_start(&session->keeper, &charge);
	if (!error)
		error = start_thread(session, &session->merger, merge_loop, setup->merge_cpu);
	if (!error)
		error = start_thread(session, &session->redeliverer, redeliver_loop, -1);
	return error;
}

/* Everything but the connection. */
static void give_back(struct hft_delegated *session)
{
	stop_threads(session);
	if (session->held)
		word_close(session->wire); /* nobody is there any more who would give it back */
	socket_reusable(session->setup.socket);
	keeper_dismiss(&session->keeper);
	egress_detach(session->setup.ifindex);
	if (session->way.pass_fd >= 0)
		close(session->way.pass_fd);
	__atomic_store_n(&session->wire->remote_addr_be, 0, __ATOMIC_SEQ_CST);
	pthread_mutex_destroy(&session->sending);
	free(session);
}

struct hft_delegated *hft_delegated_open(const struct hft_delegated_setup *setup, int *error)
{
	struct hft_delegated *session;

	if (setup->ethernet_len > sizeof(setup->ethernet) || setup->ethernet_len < 14 || setup->poll_ns >= 1000000000) {
		*error = -EINVAL;
		return NULL;
	}
	if (__atomic_load_n(&setup->wire->remote_addr_be, __ATOMIC_SEQ_CST)) {
		*error = -EBUSY;
		return NULL;
	}
	session = calloc(1, sizeof(*session));
	if (!session) {
		*error = -ENOMEM;
		return NULL;
	}
	session->setup = *setup;
	session->wire = setup->wire;
	session->merge.socket = setup->socket;
	session->merge.wire = setup->wire;
	session->way.pass_fd = -1;
	session->way.ifindex = (uint32_t)setup->ifindex;
	session->way.ethernet_len = setup->ethernet_len;
	memcpy(session->way.ethernet, setup->ethernet, sizeof(session->way.ethernet));
	pthread_mutex_init(&session->sending, NULL);
	*error = open_session(session);
	if (*error) {
		give_back(session);
		return NULL;
	}
	return session;
}

/* What callers ask for */

static int give_if_held(struct hft_delegated *session)
{
	return session->held ? word_give(session) : 0;
}

static int take_if_not(struct hft_delegated *session)
{
	return session->held ? 0 : word_take(session);
}

int hft_delegated_arm(struct hft_delegated *session, unsigned long long timeout_ns)
{
	uint64_t until = now_ns() + timeout_ns;
	int error;

	pthread_mutex_lock(&session->sending);
	error = insist(session, take_if_not, until);
	session->armed = session->open = !error;
	if (!error)
		error = insist(session, give_if_held, until);
	if (error) {
		session->armed = session->open = false;
		if (session->held)
			word_give(session);
	}
	pthread_mutex_unlock(&session->sending);
	return error;
}

/* All that the hook sent is merged: 0. */
static int settled(struct hft_delegated *session)
{
	uint64_t word = word_load(session->wire);
	int error = __atomic_load_n(&session->error, __ATOMIC_SEQ_CST);

	if (error)
		return error;
	return word & HFT_WIRE_FIRING || word_unmerged(word) ? -EAGAIN : 0;
}

int hft_delegated_disarm(struct hft_delegated *session, unsigned long long timeout_ns)
{
	uint64_t until = now_ns() + timeout_ns;
	int error;

	pthread_mutex_lock(&session->sending);
	session->armed = false;
	word_clear(session->wire, HFT_WIRE_ARMED);
	error = insist(session, settled, until);
	/* What waits goes first if it can; if not it waits for the next time, or the next connection. */
	if (!error && session->open && waiting(session) && lease_holds(session) && !insist(session, take_if_not, until))
		insist(session, give_if_held, until);
	session->open = false;
	pthread_mutex_unlock(&session->sending);
	return error;
}

int hft_delegated_close(struct hft_delegated *session)
{
	int error = hft_delegated_disarm(session, 5000000000ULL);

	give_back(session);
	return error;
}

int hft_delegated_send(struct hft_delegated *session, const void *packets, unsigned int length,
		       unsigned long long timeout_ns)
{
	uint64_t until = now_ns() + timeout_ns;
	int error;

	if (GUARD(WHOLE, !whole_packets(packets, length)))
		return -EBADMSG;
	pthread_mutex_lock(&session->sending);
	error = insist(session, take_if_not, until);
	if (!error) {
		error = send_waiting(session) ?: write_all(session, packets, length); /* a logout would be too early */
		if (error) {
			fail(session, error);
		} else {
			session->seq += length;
			session->sent++;
			for (int i = 0; i < SPINS && word_give(session) == -EAGAIN; i++)
				; /* what is not sent by then the merging thread looks after */
		}
	}
	pthread_mutex_unlock(&session->sending);
	return error;
}

int hft_delegated_recv(struct hft_delegated *session, void *bytes, unsigned int room)
{
	for (;;) {
		ssize_t got = recv(session->setup.socket, bytes, room, MSG_DONTWAIT);

		if (got >= 0) {
			session->read_seq += (uint32_t)got;
			return (int)got;
		}
		if (errno == EPERM) {
			sched_yield(); /* a merge is under way: some microseconds */
			continue;
		}
		if (errno != EINTR)
			return -errno;
	}
}

void hft_delegated_sync(struct hft_delegated *session, unsigned int unfinished, unsigned int number)
{
	__atomic_store_n(&session->wire->reply_sync, (uint64_t)(session->read_seq - unfinished) << 32 | number,
			 __ATOMIC_SEQ_CST);
}

int hft_delegated_status(struct hft_delegated *session, struct hft_delegated_status *status)
{
	uint64_t word = word_load(session->wire);
	struct tcp_info info;
	int error = info_of(session->setup.socket, &info);

	memset(status, 0, sizeof(*status));
	status->merged = session->merge.tail;
	status->batches = session->merge.batches;
	status->retries = session->merge.retries;
	status->sent = session->sent;
	status->longest_wait_ns = session->longest_wait_ns;
	status->waiting = (unsigned int)waiting(session);
	status->acks_delivered = session->acks.delivered;
	status->acks_failed = session->acks.failed;
	status->unmerged = word_unmerged(word);
	status->flags = word & HFT_WIRE_FLAGS;
	status->seq = word_seq(word);
	status->error = __atomic_load_n(&session->error, __ATOMIC_SEQ_CST);
	status->ca_state = info.tcpi_ca_state;
	status->retransmits = info.tcpi_retransmits;
	status->total_retransmits = info.tcpi_total_retrans;
	status->unacknowledged = info.tcpi_unacked;
	status->send_window = info.tcpi_snd_wnd;
	status->rtt_us = info.tcpi_rtt;
	status->keeper = session->keeper.pid > 0 && !kill(session->keeper.pid, 0) ? session->keeper.pid : 0;
	return error;
}
