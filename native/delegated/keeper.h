/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The keeper: a process of its own that holds the connection and the hook's link as well. When the process that trades dies, however it
 * dies, the keeper takes the wire, merges what is left, and closes the connection as TCP means it to be closed.
 */
#ifndef HFT_DELEGATED_KEEPER_H
#define HFT_DELEGATED_KEEPER_H

#include <sys/types.h>

#include "merge.h"

struct keeper {
	pid_t pid;
	int line; /* of ours to it: a byte = it may go; its end = we are dead */
};

struct keeper_charge {
	int socket;
	int link_fd; /* of the hook on its interface; -1 = not attached by this process */
	int ifindex;
	struct hft_tcp_wire *wire;
};

/* 0 or a negative errno value. */
int keeper_start(struct keeper *keeper, const struct keeper_charge *charge);

/* It is not needed any more. */
void keeper_dismiss(struct keeper *keeper);

#endif
