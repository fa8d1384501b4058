/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Drain the event ring into an array. The hook never wakes a reader, so waiting is polling.
 *
 * What was copied counts as read only when the next drain begins: a reader that is killed while it has records in its hands leaves
 * them to the next one, which may so see some twice (their ids say so) and none never. libbpf's reader takes each record out as
 * it hands it on; the layout of the memory is the kernel's (kernel/bpf/ringbuf.c).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <linux/bpf.h>

#include "hft/limits.h"
#include "hft/abi.h"

#include "hft.h"

#define POLL_INTERVAL_NS 50000
#define ALIGNMENT 8

struct hft_ring {
	unsigned long *consumer; /* a page that is ours to write */
	const unsigned char *producer; /* a page, then the data twice, so that no record is in two parts */
	const unsigned char *data;
	size_t page;
	size_t size;
	unsigned long next; /* behind what was copied last */
};

static int map_ring(struct hft_ring *ring, int map_fd)
{
	struct bpf_map_info info = {};
	__u32 length = sizeof(info);
	void *memory;

	if (bpf_obj_get_info_by_fd(map_fd, &info, &length))
		return -errno;
	if (info.type != BPF_MAP_TYPE_RINGBUF)
		return -EINVAL;
	ring->page = (size_t)sysconf(_SC_PAGESIZE);
	ring->size = info.max_entries;
	memory = mmap(NULL, ring->page, PROT_READ | PROT_WRITE, MAP_SHARED, map_fd, 0);
	if (memory == MAP_FAILED)
		return -errno;
	ring->consumer = memory;
	memory = mmap(NULL, ring->page + 2 * ring->size, PROT_READ, MAP_SHARED, map_fd, (off_t)ring->page);
	if (memory == MAP_FAILED)
		return -errno;
	ring->producer = memory;
	ring->data = ring->producer + ring->page;
	ring->next = *ring->consumer;
	return 0;
}

static void unmap_ring(struct hft_ring *ring)
{
	if (ring->producer)
		munmap((void *)(unsigned long)ring->producer, ring->page + 2 * ring->size);
	if (ring->consumer)
		munmap(ring->consumer, ring->page);
	free(ring);
}

struct hft_ring *hft_ring_open(int map_fd, int *error)
{
	struct hft_ring *ring = calloc(1, sizeof(*ring));

	*error = ring ? map_ring(ring, map_fd) : -ENOMEM;
	if (ring && *error) {
		unmap_ring(ring);
		ring = NULL;
	}
	return ring;
}

static void give_back(const struct hft_ring *ring)
{
	__atomic_store_n(ring->consumer, ring->next, __ATOMIC_RELEASE);
}

void hft_ring_close(struct hft_ring *ring)
{
	if (!ring)
		return;
	give_back(ring);
	unmap_ring(ring);
}

int hft_ring_drain(struct hft_ring *ring, struct hft_event *events, int room)
{
	unsigned long end;
	int count = 0;

	give_back(ring);
	end = __atomic_load_n((const unsigned long *)ring->producer, __ATOMIC_ACQUIRE);
	while (ring->next < end && count < room) {
		const unsigned char *record = ring->data + (ring->next & (ring->size - 1));
		__u32 header = __atomic_load_n((const __u32 *)record, __ATOMIC_ACQUIRE);
		size_t length = header & ~(BPF_RINGBUF_BUSY_BIT | BPF_RINGBUF_DISCARD_BIT);

		if (header & BPF_RINGBUF_BUSY_BIT)
			break;
		if (!(header & BPF_RINGBUF_DISCARD_BIT) && length == sizeof(struct hft_event))
			memcpy(&events[count++], record + BPF_RINGBUF_HDR_SZ, sizeof(struct hft_event));
		ring->next += (length + BPF_RINGBUF_HDR_SZ + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
	}
	return count;
}

int hft_ring_wait(struct hft_ring *ring, struct hft_event *events, int room, unsigned long long timeout_ns)
{
	const struct timespec pause = { .tv_nsec = POLL_INTERVAL_NS };
	struct timespec now;
	unsigned long long end;
	int count;

	clock_gettime(CLOCK_MONOTONIC, &now);
	end = now.tv_sec * 1000000000ULL + now.tv_nsec + timeout_ns;
	for (;;) {
		count = hft_ring_drain(ring, events, room);
		clock_gettime(CLOCK_MONOTONIC, &now);
		if (count || now.tv_sec * 1000000000ULL + now.tv_nsec >= end)
			return count;
		nanosleep(&pause, NULL);
	}
}
