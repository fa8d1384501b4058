/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The responders: each takes datagrams or frames its own way, puts them through the pipeline, and sends the order. They return when the
 * feed has said that it ends: 0, or a negative errno value. All spin or sleep on the calling thread's CPU. Declarations only: cffi reads
 * this file as it stands.
 *
 * Replies have their turn where there is nothing to decide: while an order is open and no packet of the feed waits, and behind one that
 * brought no order. Without an open order nobody asks for them.
 *
 * Sockets: `feed` is bound to the feed's group and port and a member of it, `entry` is connected to order entry.
 */

/* recv() that sleeps; poll() on both while an order is open. */
int hft_peer_blocking(int feed, int entry);

/* recv(MSG_DONTWAIT), again and again. */
int hft_peer_busy(int feed, int entry);

/* The same with order entry on a connected SoupBinTCP stream, logged in, whose next reply is number 1. Ends too when the stream does. */
int hft_peer_busy_tcp(int feed, int entry);

/* recv() that sleeps not, but polls the device's NAPI in the kernel (SO_BUSY_POLL, set by the caller, on a device that has one). */
int hft_peer_busy_poll(int feed, int entry);

/* recvmmsg(MSG_DONTWAIT), again and again. */
int hft_peer_recvmmsg(int feed, int entry);

/* io_uring: multishot receives on both sockets into provided buffers, the completion queue polled, and the kernel entered on each look for
 * what it has to complete. */
int hft_peer_uring(int feed, int entry);

/* Can an io_uring of that kind be made here? 0, or the reason. */
int hft_peer_uring_check(void);

/*
 * AF_XDP in copy mode on queue 0 of a device, busy-polled. What is redirected is the feed's and order entry's port only. Open: frames arrive
 * from then on, and wait; NULL and *error if it cannot be.
 */
struct hft_xsk_place {
	unsigned int ifindex;
	unsigned int generic; /* 1: behind the driver, from sk_buffs */
	unsigned int feed_addr_be;
	unsigned int entry_addr_be;
	unsigned short feed_port_be;
	unsigned short entry_port_be;
};

struct hft_xsk;

struct hft_xsk *hft_xsk_open(const struct hft_xsk_place *place, int *error);
void hft_xsk_run(struct hft_xsk *xsk);
void hft_xsk_close(struct hft_xsk *xsk);

/* Frames that found no room. */
long long hft_xsk_lost(const struct hft_xsk *xsk);

/* Can a socket of that kind be had here? 0, or the reason. */
int hft_xsk_check(void);
