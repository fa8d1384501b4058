/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "egress.h"
#include "keeper.h"

#define DRAIN_MS 3000 /* so long the peer may take to acknowledge, and then to close */
#define MOST_SECONDS 15 /* the keeper's own end, whatever happens */
#define PAUSE_NS 100000

static void pause_a_moment(void)
{
	const struct timespec moment = { .tv_nsec = PAUSE_NS };

	nanosleep(&moment, NULL);
}

static long now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* The hook sends no more. One that is in the middle of it is done within a packet. */
static void take_wire(struct hft_tcp_wire *wire)
{
	__atomic_fetch_and(&wire->word, ~(uint64_t)HFT_WIRE_ARMED, __ATOMIC_SEQ_CST);
	while (word_load(wire) & HFT_WIRE_FIRING)
		pause_a_moment();
}

/* RST: nothing that is not acknowledged may arrive at some later time. */
static void close_hard(int socket)
{
	setsockopt(socket, SOL_SOCKET, SO_LINGER, &(struct linger){ .l_onoff = 1 }, sizeof(struct linger));
	close(socket);
}

/* FIN behind the last byte; then until the peer has closed too: unread replies would make the kernel send a RST. */
static void close_clean(int socket)
{
	struct pollfd readable = { .fd = socket, .events = POLLIN };
	long end = now_ms() + DRAIN_MS;
	char unread[4096];

	socket_reusable(socket);
	shutdown(socket, SHUT_WR);
	while (now_ms() < end) {
		if (poll(&readable, 1, 10) > 0 && recv(socket, unread, sizeof(unread), MSG_DONTWAIT) == 0)
			break;
	}
	if (socket_unacknowledged(socket) > 0)
		close_hard(socket);
	else
		close(socket);
}

static void take_over(const struct keeper_charge *charge)
{
	alarm(MOST_SECONDS);
	take_wire(charge->wire);
	if (merge_rest(charge->socket, charge->wire)) {
		close_hard(charge->socket);
		egress_detach(charge->ifindex);
		return;
	}
	/* All is the kernel's now. Whoever trades next on the interface need not wait for the peer. */
	egress_detach(charge->ifindex);
	close(charge->link_fd);
	close_clean(charge->socket);
}

static int by_number(const void *one, const void *other)
{
	return *(const int *)one - *(const int *)other;
}

/* Nothing but the charge stays open: what the parent closes is to be closed. */
static void close_others(const struct keeper_charge *charge, int line)
{
	int kept[] = { charge->socket, charge->link_fd, line };
	unsigned int from = 0;

	qsort(kept, sizeof(kept) / sizeof(kept[0]), sizeof(kept[0]), by_number);
	for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++) {
		if (kept[i] < 0)
			continue;
		if ((unsigned int)kept[i] > from)
			syscall(SYS_close_range, from, (unsigned int)kept[i] - 1, 0);
		from = (unsigned int)kept[i] + 1;
	}
	syscall(SYS_close_range, from, ~0U, 0);
}

__attribute__((noreturn)) static void keep(const struct keeper_charge *charge, int line)
{
	static const int deaf[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE };
	sigset_t none;
	char word;
	ssize_t heard;

	for (size_t i = 0; i < sizeof(deaf) / sizeof(deaf[0]); i++)
		signal(deaf[i], SIG_IGN);
	signal(SIGALRM, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	setsid();
	prctl(PR_SET_NAME, "hft-keeper");
	close_others(charge, line);
	do
		heard = read(line, &word, 1);
	while (heard < 0 && errno == EINTR);
	if (heard <= 0)
		take_over(charge);
	_exit(0);
}

int keeper_start(struct keeper *keeper, const struct keeper_charge *charge)
{
	int line[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, line))
		return -errno;
	keeper->pid = fork();
	if (keeper->pid < 0) {
		int error = -errno;

		close(line[0]);
		close(line[1]);
		return error;
	}
	if (!keeper->pid) {
		close(line[1]);
		keep(charge, line[0]);
	}
	close(line[0]);
	keeper->line = line[1];
	return 0;
}

void keeper_dismiss(struct keeper *keeper)
{
	char word = 0;

	if (keeper->pid <= 0)
		return;
	while (send(keeper->line, &word, 1, MSG_NOSIGNAL) < 0 && errno == EINTR)
		;
	close(keeper->line);
	while (waitpid(keeper->pid, NULL, 0) < 0 && errno == EINTR)
		;
	keeper->pid = 0;
}
