/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Delegated sends: the hook sends on a TCP connection of the kernel's, and this merges what it sent into it (docs/delegated-send.md).
 *
 * Read by gcc and by cffi: declarations only. Functions that can fail return a negative errno value. All but open and close may be called
 * from any thread.
 */
#ifndef HFT_DELEGATED_H
#define HFT_DELEGATED_H

/* A connection that is handed over. The descriptors stay the caller's, and must live as long as the session. */
struct hft_delegated_setup {
	int socket; /* connected TCP, IPv4; written to and closed by nobody else meanwhile */
	int wire_fd; /* map ".data.wire" of the program */
	struct hft_tcp_wire *wire; /* the same, shared */
	const unsigned long long *lease_until_ns; /* of the engine's struct hft_control, shared */
	int link_fd; /* of the program on its interface; -1 = another process has it */
	int ifindex;
	int merge_cpu; /* CPU of the thread that merges, -1 = any */
	unsigned int
		poll_ns; /* pause of that thread between two looks, below a second; 0 = none: it takes a CPU for itself */
	unsigned int ethernet_len; /* of a frame that the peer sends us: 14, 18 or 22 */
	unsigned char ethernet[32];
};

struct hft_delegated;

/* Take a connection over, not armed yet. Sets TCP_NODELAY, reno or cubic, and a large send buffer. NULL and *error on failure:
 * -EPERM without CAP_NET_ADMIN, -ENOTCONN, -EBUSY when the engine has one already, -EPROTONOSUPPORT for ECN or time stamps in
 * microseconds. */
struct hft_delegated *hft_delegated_open(const struct hft_delegated_setup *setup, int *error);

/* Stop the hook, merge what is left, and give the connection back. 0, or why not all is merged: then the connection is lost. */
int hft_delegated_close(struct hft_delegated *session);

/* From now on the hook may send, and what it hands over is sent. -EPIPE: closed by the peer, or lost; -ETIMEDOUT: not all that was sent
 * before has left. */
int hft_delegated_arm(struct hft_delegated *session, unsigned long long timeout_ns);

/* From now on it may not; what it sent is merged when this returns 0. */
int hft_delegated_disarm(struct hft_delegated *session, unsigned long long timeout_ns);

/* Send whole SoupBinTCP packets in the ordinary way, between sends of the hook. -EBADMSG: not whole packets; -ETIMEDOUT: the wire
 * was not free in time, nothing was sent; -EPIPE as above. */
int hft_delegated_send(struct hft_delegated *session, const void *packets, unsigned int length,
		       unsigned long long timeout_ns);

/* Read what the peer sent: bytes, 0 at its end; -EAGAIN if there is nothing. While a merge is under way the kernel refuses a plain
 * recv() with EPERM. */
int hft_delegated_recv(struct hft_delegated *session, void *bytes, unsigned int room);

/* All that was read but the last `unfinished` bytes, which begin with a packet, is handed on, and the next reply is `number`: the hook
 * may go on from there. */
void hft_delegated_sync(struct hft_delegated *session, unsigned int unfinished, unsigned int number);

struct hft_delegated_status {
	unsigned long long merged; /* sends of the hook, merged */
	unsigned long long batches; /* in so many goes */
	unsigned long long retries; /* times the kernel had no room */
	unsigned long long sent; /* ordinary sends */
	unsigned long long longest_wait_ns; /* that cancels had from the hook to the kernel, which went by user space */
	unsigned long long acks_delivered; /* acknowledgements that were held back and delivered again */
	unsigned long long acks_failed; /* that the kernel did not take */
	unsigned int unmerged; /* now */
	unsigned int waiting; /* segments of cancels that the hook has handed over and that are not sent yet */
	unsigned int flags; /* HFT_WIRE_* now */
	unsigned int seq; /* next of the wire */
	int error; /* negative errno value: the connection is lost */
	unsigned int ca_state; /* of TCP_INFO: 0 = open, 1 = disorder, 2 = CWR, 3 = recovery, 4 = loss */
	unsigned int retransmits; /* of the segment that waits */
	unsigned int total_retransmits;
	unsigned int unacknowledged; /* segments */
	unsigned int send_window; /* bytes that the peer's window had room for when it last spoke */
	unsigned int rtt_us;
	int keeper; /* its process, 0 = it has died */
};

int hft_delegated_status(struct hft_delegated *session, struct hft_delegated_status *status);

#endif
