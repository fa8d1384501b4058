/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The exchange's end of a wire: frames go out, and what the participant sends comes in, without a network stack on this side.
 *
 * Read by gcc and by cffi: declarations only. Functions that can fail return a negative errno value.
 */
#ifndef HFT_RIG_WIRE_H
#define HFT_RIG_WIRE_H

struct hft_wire;

/* Addresses and ports, as they lie behind each other in an IPv4 header without options and the UDP header. */
struct hft_wire_flows {
	uint8_t orders[12]; /* of what is taken off the wire */
	uint8_t feed[12]; /* of what is stamped as it leaves */
};

/*
 * A tap device: the descriptor is the wire. write() runs the other end's native XDP program before it returns; whatever the other end
 * sends waits to be read. The caller keeps the descriptor, which must not block.
 */
struct hft_wire *hft_wire_tap(int fd, const struct hft_wire_flows *flows, int *error);

/*
 * A network device (one end of a veth pair), of the calling thread's network namespace. Frames go out through `packet_fd`, a packet
 * socket bound to it; what comes in is taken by a native XDP program, which takes the place of the one that was there until the wire is
 * closed. Both ways are stamped by BPF on this device.
 */
struct hft_wire *hft_wire_device(int packet_fd, int ifindex, const struct hft_wire_flows *flows, int *error);
void hft_wire_close(struct hft_wire *wire);

/* Whether the other end's orders are taken off the wire (1), or left to the sockets of this end (0, as at the start). A tap has no
 * sockets: there everything is always taken. */
void hft_wire_take(struct hft_wire *wire, int taking);

/* Send one frame: 0, -EAGAIN for a wire that is full, or what the kernel said. */
int hft_wire_send(struct hft_wire *wire, const uint8_t *frame, uint32_t length);

/* The next datagram of the orders' flow that came in, its checksums right: bytes of its payload, copied, at most `room`; 0 for a frame
 * that is another's, -EAGAIN for none, -EBADMSG for a wrong length or checksum. *seen_ns: CLOCK_MONOTONIC when it was here, before it
 * was looked at; *came_ns: the device's own stamp, 0 where nothing stamps. */
int hft_wire_receive(struct hft_wire *wire, uint8_t *payload, uint32_t room, uint64_t *seen_ns, uint64_t *came_ns);

/* When the packet of the feed with that sequence left, by the device's own stamp; 0 where nothing stamps (a tap). */
uint64_t hft_wire_left_ns(const struct hft_wire *wire, uint64_t sequence);

#endif
