// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * AF_XDP in copy mode: whole frames in memory that is shared with the kernel, rings that are polled, one system call an order. A frame is
 * handled where it lies and leaves as an order from there, as in the hook.
 */
#include <errno.h>
#include <linux/if_link.h>
#include <linux/if_xdp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>

#include "peer.skel.h"
#include "pipeline.h"

#include "peers.h"

#define FRAMES 4096
#define FRAME_BYTES 4096
#define RING 4096 /* all frames fit each of the rings */
#define QUEUE 0

/* One side of a ring; the other one is the kernel's. */
struct ring {
	uint32_t *producer;
	uint32_t *consumer;
	void *entries;
	void *memory;
	size_t bytes;
	uint32_t at; /* our own position */
};

struct hft_xsk {
	int socket;
	int link;
	struct peer_bpf *skeleton;
	unsigned char *frames;
	struct ring receive;
	struct ring transmit;
	struct ring fill;
	struct ring done;
	bool unsent; /* the kernel did not take all yet */
};

static uint32_t load(const uint32_t *position)
{
	return __atomic_load_n(position, __ATOMIC_ACQUIRE);
}

static void publish(uint32_t *position, uint32_t value)
{
	__atomic_store_n(position, value, __ATOMIC_RELEASE);
}

static struct xdp_desc *descriptor(const struct ring *ring, uint32_t at)
{
	return (struct xdp_desc *)ring->entries + at % RING;
}

static uint64_t *address(const struct ring *ring, uint32_t at)
{
	return (uint64_t *)ring->entries + at % RING;
}

static int map_ring(struct hft_xsk *xsk, struct ring *ring, const struct xdp_ring_offset *offset, size_t entry,
		    off_t page)
{
	ring->bytes = offset->desc + RING * entry;
	ring->memory = mmap(NULL, ring->bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, xsk->socket, page);
	if (ring->memory == MAP_FAILED) {
		ring->memory = NULL;
		return -errno;
	}
	ring->producer = (void *)((char *)ring->memory + offset->producer);
	ring->consumer = (void *)((char *)ring->memory + offset->consumer);
	ring->entries = (char *)ring->memory + offset->desc;
	return 0;
}

static void unmap_ring(const struct ring *ring)
{
	if (ring->memory)
		munmap(ring->memory, ring->bytes);
}

static int open_memory(struct hft_xsk *xsk)
{
	struct xdp_umem_reg area = { .len = (uint64_t)FRAMES * FRAME_BYTES, .chunk_size = FRAME_BYTES };

	xsk->frames = mmap(NULL, area.len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (xsk->frames == MAP_FAILED) {
		xsk->frames = NULL;
		return -errno;
	}
	area.addr = (uint64_t)(unsigned long)xsk->frames;
	return setsockopt(xsk->socket, SOL_XDP, XDP_UMEM_REG, &area, sizeof(area)) ? -errno : 0;
}

static int open_rings(struct hft_xsk *xsk)
{
	const int kinds[] = { XDP_UMEM_FILL_RING, XDP_UMEM_COMPLETION_RING, XDP_RX_RING, XDP_TX_RING };
	struct xdp_mmap_offsets offsets;
	socklen_t length = sizeof(offsets);
	const int entries = RING;
	int error;

	for (int i = 0; i < 4; i++)
		if (setsockopt(xsk->socket, SOL_XDP, kinds[i], &entries, sizeof(entries)))
			return -errno;
	if (getsockopt(xsk->socket, SOL_XDP, XDP_MMAP_OFFSETS, &offsets, &length))
		return -errno;
	error = map_ring(xsk, &xsk->receive, &offsets.rx, sizeof(struct xdp_desc), XDP_PGOFF_RX_RING);
	if (!error)
		error = map_ring(xsk, &xsk->transmit, &offsets.tx, sizeof(struct xdp_desc), XDP_PGOFF_TX_RING);
	if (!error)
		error = map_ring(xsk, &xsk->fill, &offsets.fr, sizeof(uint64_t), XDP_UMEM_PGOFF_FILL_RING);
	if (!error)
		error = map_ring(xsk, &xsk->done, &offsets.cr, sizeof(uint64_t), XDP_UMEM_PGOFF_COMPLETION_RING);
	return error;
}

static void give_frame(struct hft_xsk *xsk, uint64_t frame)
{
	*address(&xsk->fill, xsk->fill.at++) = frame & ~(uint64_t)(FRAME_BYTES - 1);
	publish(xsk->fill.producer, xsk->fill.at);
}

static int open_socket(struct hft_xsk *xsk, const struct hft_xsk_place *place)
{
	struct sockaddr_xdp where = {
		.sxdp_family = AF_XDP, .sxdp_flags = XDP_COPY, .sxdp_ifindex = place->ifindex, .sxdp_queue_id = QUEUE
	};
	int error;

	xsk->socket = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (xsk->socket < 0)
		return -errno;
	error = open_memory(xsk);
	if (!error)
		error = open_rings(xsk);
	if (error)
		return error;
	for (uint64_t i = 0; i < FRAMES; i++)
		give_frame(xsk, i * FRAME_BYTES);
	return bind(xsk->socket, (struct sockaddr *)&where, sizeof(where)) ? -errno : 0;
}

static int open_program(struct hft_xsk *xsk, const struct hft_xsk_place *place)
{
	LIBBPF_OPTS(bpf_link_create_opts, options, .flags = place->generic ? XDP_FLAGS_SKB_MODE : XDP_FLAGS_DRV_MODE);
	const uint32_t queue = QUEUE;
	int error;

	libbpf_set_strict_mode(LIBBPF_STRICT_ALL);
	xsk->skeleton = peer_bpf__open();
	if (!xsk->skeleton)
		return -errno;
	xsk->skeleton->rodata->wanted[0].addr_be = place->feed_addr_be;
	xsk->skeleton->rodata->wanted[0].port_be = place->feed_port_be;
	xsk->skeleton->rodata->wanted[1].addr_be = place->entry_addr_be;
	xsk->skeleton->rodata->wanted[1].port_be = place->entry_port_be;
	error = peer_bpf__load(xsk->skeleton);
	if (error)
		return error;
	if (bpf_map_update_elem(bpf_map__fd(xsk->skeleton->maps.peer_sockets), &queue, &xsk->socket, BPF_ANY))
		return -errno;
	xsk->link = bpf_link_create(bpf_program__fd(xsk->skeleton->progs.xdp_peer), place->ifindex, BPF_XDP, &options);
	return xsk->link < 0 ? -errno : 0;
}

/* In copy mode the kernel sends when it is told to, and not otherwise. */
static void kick(struct hft_xsk *xsk)
{
	xsk->unsent = sendto(xsk->socket, NULL, 0, MSG_DONTWAIT, NULL, 0) < 0;
}

static void send_frame(struct hft_xsk *xsk, uint64_t frame, unsigned int length)
{
	*descriptor(&xsk->transmit, xsk->transmit.at++) = (struct xdp_desc){ .addr = frame, .len = length };
	publish(xsk->transmit.producer, xsk->transmit.at);
	kick(xsk);
}

static void take_back_sent(struct hft_xsk *xsk)
{
	uint32_t end = load(xsk->done.producer);

	if (xsk->done.at == end)
		return;
	while (xsk->done.at != end)
		give_frame(xsk, *address(&xsk->done, xsk->done.at++));
	publish(xsk->done.consumer, end);
}

void hft_xsk_run(struct hft_xsk *xsk)
{
	while (!hft_pipeline_ended()) {
		uint32_t end = load(xsk->receive.producer);

		while (xsk->receive.at != end) {
			struct xdp_desc frame = *descriptor(&xsk->receive, xsk->receive.at++);
			unsigned int length = frame.len, room = FRAME_BYTES - frame.addr % FRAME_BYTES;

			if (hft_pipeline_frame(xsk->frames + frame.addr, &length, room) == XDP_TX)
				send_frame(xsk, frame.addr, length);
			else
				give_frame(xsk, frame.addr);
			publish(xsk->receive.consumer, xsk->receive.at);
		}
		if (xsk->unsent)
			kick(xsk);
		take_back_sent(xsk);
	}
}

void hft_xsk_close(struct hft_xsk *xsk)
{
	if (xsk->link >= 0)
		close(xsk->link);
	peer_bpf__destroy(xsk->skeleton);
	unmap_ring(&xsk->receive);
	unmap_ring(&xsk->transmit);
	unmap_ring(&xsk->fill);
	unmap_ring(&xsk->done);
	if (xsk->socket >= 0)
		close(xsk->socket);
	if (xsk->frames)
		munmap(xsk->frames, (size_t)FRAMES * FRAME_BYTES);
	free(xsk);
}

struct hft_xsk *hft_xsk_open(const struct hft_xsk_place *place, int *error)
{
	struct hft_xsk *xsk = calloc(1, sizeof(*xsk));

	*error = -ENOMEM;
	if (!xsk)
		return NULL;
	xsk->socket = xsk->link = -1;
	*error = open_socket(xsk, place);
	if (!*error)
		*error = open_program(xsk, place);
	if (*error) {
		hft_xsk_close(xsk);
		return NULL;
	}
	return xsk;
}

long long hft_xsk_lost(const struct hft_xsk *xsk)
{
	struct xdp_statistics counted = {};
	socklen_t length = sizeof(counted);

	if (getsockopt(xsk->socket, SOL_XDP, XDP_STATISTICS, &counted, &length))
		return -errno;
	return counted.rx_dropped + counted.rx_ring_full;
}

int hft_xsk_check(void)
{
	int fd = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	close(fd);
	return 0;
}
