// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The exchange's end of a wire: see wire.h. Layouts: Ethernet II, RFC 791, RFC 768. */
#include <errno.h>
#include <linux/if_link.h>
#include <linux/types.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <netinet/in.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "rig.h"
#include "frame.h"
#include "wire.h"
#include "rig.skel.h"

static const uint8_t UDP_IN_IPV4[] = { 8, 0, 0x45 }; /* EtherType, version and header length */

struct hft_wire {
	struct hft_wire_flows flows;
	int fd; /* frames go out here; a tap's come in too */
	struct rig_bpf *programs; /* NULL = a tap */
	int ifindex;
	int previous_fd; /* what was attached before, -1 = nothing */
	int hooked; /* clsact was made by us */
	size_t page;
	uint64_t position; /* everything before it has been read */
	uint64_t *consumed; /* the kernel's copy of that */
	uint64_t *produced; /* first of a page; the records are on the pages behind it */
	uint64_t *stamps; /* NULL = nothing stamps */
	uint8_t frame[HFT_RIG_FRAME_BYTES];
};

static struct hft_wire *wire_new(int fd, const struct hft_wire_flows *flows)
{
	struct hft_wire *wire = malloc(sizeof(*wire));

	if (wire)
		*wire = (struct hft_wire){ .flows = *flows,
					   .fd = fd,
					   .previous_fd = -1,
					   .page = (size_t)sysconf(_SC_PAGESIZE),
					   .consumed = MAP_FAILED,
					   .produced = MAP_FAILED };
	return wire;
}

struct hft_wire *hft_wire_tap(int fd, const struct hft_wire_flows *flows, int *error)
{
	struct hft_wire *wire = wire_new(fd, flows);

	*error = wire ? 0 : -ENOMEM;
	return wire;
}

/* What leaves is stamped, if this kernel has the hook. */
static void stamps_start(struct hft_wire *wire)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = wire->ifindex, .attach_point = BPF_TC_EGRESS);
	LIBBPF_OPTS(bpf_tc_opts, options, .prog_fd = bpf_program__fd(wire->programs->progs.rig_stamp));
	size_t size = HFT_RIG_STAMPS * sizeof(uint64_t);
	void *stamps;

	if (bpf_tc_hook_create(&hook))
		return;
	wire->hooked = 1;
	if (bpf_tc_attach(&hook, &options))
		return;
	stamps = mmap(NULL, size, PROT_READ, MAP_SHARED, bpf_map__fd(wire->programs->maps.stamps), 0);
	wire->stamps = stamps == MAP_FAILED ? NULL : stamps;
}

static int device_start(struct hft_wire *wire, int ifindex)
{
	uint32_t previous = 0;
	int ring;

	wire->programs = rig_bpf__open();
	if (!wire->programs)
		return -errno;
	memcpy((void *)wire->programs->rodata->flow.orders, wire->flows.orders, sizeof(wire->flows.orders));
	memcpy((void *)wire->programs->rodata->flow.feed, wire->flows.feed, sizeof(wire->flows.feed));
	if (rig_bpf__load(wire->programs))
		return -errno;
	ring = bpf_map__fd(wire->programs->maps.taken);
	wire->consumed = mmap(NULL, wire->page, PROT_READ | PROT_WRITE, MAP_SHARED, ring, 0);
	if (wire->consumed == MAP_FAILED)
		return -errno;
	/* The kernel maps the records twice in a row, so that none is split at the end. */
	wire->produced = mmap(NULL, wire->page + 2 * HFT_RIG_RING_BYTES, PROT_READ, MAP_SHARED | MAP_POPULATE, ring,
			      (off_t)wire->page);
	if (wire->produced == MAP_FAILED)
		return -errno;
	if (bpf_xdp_query_id(ifindex, XDP_FLAGS_DRV_MODE, &previous))
		return -errno;
	if (previous) {
		wire->previous_fd = bpf_prog_get_fd_by_id(previous);
		if (wire->previous_fd < 0)
			return -errno;
	}
	if (bpf_xdp_attach(ifindex, bpf_program__fd(wire->programs->progs.rig_take), XDP_FLAGS_DRV_MODE, NULL))
		return -errno;
	wire->ifindex = ifindex;
	stamps_start(wire);
	return 0;
}

struct hft_wire *hft_wire_device(int packet_fd, int ifindex, const struct hft_wire_flows *flows, int *error)
{
	struct hft_wire *wire = wire_new(packet_fd, flows);

	*error = -ENOMEM;
	if (!wire)
		return NULL;
	*error = device_start(wire, ifindex);
	if (!*error)
		return wire;
	hft_wire_close(wire);
	return NULL;
}

void hft_wire_close(struct hft_wire *wire)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = wire->ifindex, .attach_point = BPF_TC_INGRESS | BPF_TC_EGRESS);

	if (wire->hooked)
		bpf_tc_hook_destroy(&hook);
	if (wire->ifindex)
		bpf_xdp_attach(wire->ifindex, wire->previous_fd, XDP_FLAGS_DRV_MODE, NULL);
	if (wire->previous_fd >= 0)
		close(wire->previous_fd);
	if (wire->stamps)
		munmap(wire->stamps, HFT_RIG_STAMPS * sizeof(uint64_t));
	if (wire->produced != MAP_FAILED)
		munmap(wire->produced, wire->page + 2 * HFT_RIG_RING_BYTES);
	if (wire->consumed != MAP_FAILED)
		munmap(wire->consumed, wire->page);
	rig_bpf__destroy(wire->programs);
	free(wire);
}

void hft_wire_take(struct hft_wire *wire, int taking)
{
	if (wire->programs)
		__atomic_store_n(&wire->programs->bss->taking, (uint32_t)taking, __ATOMIC_RELEASE);
}

int hft_wire_send(struct hft_wire *wire, const uint8_t *frame, uint32_t length)
{
	ssize_t sent = wire->programs ? send(wire->fd, frame, length, 0) : write(wire->fd, frame, length);

	if (sent == (ssize_t)length)
		return 0;
	return sent < 0 ? -errno : -EIO;
}

/* The payload of a datagram of the orders' flow. */
static int unwrap(const struct hft_wire *wire, const uint8_t *frame, uint32_t length, uint8_t *into, uint32_t room)
{
	const uint8_t *ipv4 = frame + ETHERNET_BYTES;
	uint32_t payload;

	if (length < FRAME_HEADERS || memcmp(ipv4 - 2, UDP_IN_IPV4, sizeof(UDP_IN_IPV4)) || ipv4[9] != IPPROTO_UDP ||
	    memcmp(ipv4 + IPV4_ADDRESSES, wire->flows.orders, sizeof(wire->flows.orders)))
		return 0;
	payload = (uint32_t)get_be(ipv4 + UDP_LENGTH, 2) - UDP_BYTES;
	if (payload > room || payload > length - FRAME_HEADERS)
		return -EBADMSG;
	/* A network stack would have dropped it without a word. No UDP checksum at all is allowed. */
	if (frame_ipv4_checksum(ipv4) || (get_be(ipv4 + UDP_CHECKSUM, 2) && frame_udp_checksum(ipv4)))
		return -EBADMSG;
	memcpy(into, frame + FRAME_HEADERS, payload);
	return (int)payload;
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static int receive_from_ring(struct hft_wire *wire, uint8_t *payload, uint32_t room, uint64_t *seen_ns,
			     uint64_t *came_ns)
{
	uint64_t produced = __atomic_load_n(wire->produced, __ATOMIC_ACQUIRE);
	const uint8_t *record = (const uint8_t *)wire->produced + wire->page + wire->position % HFT_RIG_RING_BYTES;
	const struct hft_rig_taken *taken = (const void *)(record + BPF_RINGBUF_HDR_SZ);
	uint32_t size;
	int length;

	if (wire->position == produced)
		return -EAGAIN;
	size = __atomic_load_n((const uint32_t *)record, __ATOMIC_ACQUIRE);
	if (size & BPF_RINGBUF_BUSY_BIT)
		return -EAGAIN;
	*seen_ns = now_ns();
	*came_ns = taken->ns;
	length = taken->length <= HFT_RIG_FRAME_BYTES ? unwrap(wire, taken->frame, taken->length, payload, room)
						      : -EBADMSG;
	wire->position += (BPF_RINGBUF_HDR_SZ + size + 7) & ~7u;
	__atomic_store_n(wire->consumed, wire->position, __ATOMIC_RELEASE);
	return length;
}

int hft_wire_receive(struct hft_wire *wire, uint8_t *payload, uint32_t room, uint64_t *seen_ns, uint64_t *came_ns)
{
	ssize_t length;

	if (wire->programs)
		return receive_from_ring(wire, payload, room, seen_ns, came_ns);
	length = read(wire->fd, wire->frame, sizeof(wire->frame));
	if (length < 0)
		return errno == EWOULDBLOCK ? -EAGAIN : -errno;
	*seen_ns = now_ns();
	*came_ns = 0;
	return unwrap(wire, wire->frame, (uint32_t)length, payload, room);
}

uint64_t hft_wire_left_ns(const struct hft_wire *wire, uint64_t sequence)
{
	return wire->stamps ? __atomic_load_n(&wire->stamps[sequence & (HFT_RIG_STAMPS - 1)], __ATOMIC_ACQUIRE) : 0;
}
