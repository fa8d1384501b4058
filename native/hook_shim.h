/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the kernel and libbpf provide, so that the host's compiler makes the hook's own code: bpf/xdp_hft.bpf.c as it stands, or some of
 * its headers. For peers that do the same work in user space, and to measure what the same code costs outside the kernel.
 *
 * As fast as C can be: a map is an array that is indexed, the helpers are inlined, what only the verifier wants is gone. One thread.
 * Include it before anything of bpf/, and no header of the C library that declares signal().
 */
#ifndef HFT_HOOK_SHIM_H
#define HFT_HOOK_SHIM_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define xdp_md kernel_xdp_md
#include <linux/bpf.h>
#undef xdp_md
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/types.h>
#include <linux/udp.h>

/* vmlinux.h, bpf_helpers.h and bpf_endian.h: all that is used of them is here. */
#define __VMLINUX_H__
#define __BPF_HELPERS__
#define __BPF_CORE_READ_H__
#define __BPF_ENDIAN__
typedef _Bool bool;
#define true 1
#define false 0
#undef __always_inline
#define __always_inline inline __attribute__((always_inline))
#define SEC(name)
#define __weak
#define __hidden
#define __noinline __attribute__((noinline))
#define __uint(name, value) int(*name)[value]
#define __type(name, value) typeof(value) *name
#define barrier_var(x) ((void)(x))
#define bpf_htons(x) __builtin_bswap16(x)
#define bpf_ntohs(x) __builtin_bswap16(x)
#define bpf_htonl(x) __builtin_bswap32(x)
#define bpf_ntohl(x) __builtin_bswap32(x)
#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the hook is little endian"
#endif

#include "hft/limits.h"
/* Tables as large as anybody needs, of which config says how much is used: pages that are not touched cost nothing. */
#undef HFT_DEFAULT_SYMBOLS
#undef HFT_DEFAULT_FEEDS
#undef HFT_DEFAULT_KEPT
#undef HFT_DEFAULT_ORDER_BUCKETS
#undef HFT_DEFAULT_SPILL_BUCKETS
#undef HFT_DEFAULT_LEVEL_BLOCKS
#undef HFT_DEFAULT_LADDER_BUCKETS
#define HFT_DEFAULT_SYMBOLS HFT_MAX_SYMBOLS
#define HFT_DEFAULT_FEEDS HFT_MAX_FEEDS
#define HFT_DEFAULT_KEPT (1 << 16)
#define HFT_DEFAULT_ORDER_BUCKETS (1 << 21)
#define HFT_DEFAULT_SPILL_BUCKETS (1 << 21)
#define HFT_DEFAULT_LEVEL_BLOCKS (1 << 21)
#define HFT_DEFAULT_LADDER_BUCKETS (1 << 21)
#include "hft/abi.h"

/* Nothing has to be kept from the compiler: no verifier reads what it makes. And it may inline what it likes. */
#include "hft/compat.bpf.h"
#undef hft_global
#undef hft_rolled
#undef hft_opaque
#undef hft_masked
#undef hft_store_fence
#define hft_global static __attribute__((unused))
#define hft_rolled
#define hft_opaque(x) ((void)(x))
#define hft_masked(x, size) ((__u64)(x) & ((size) - 1))
#define hft_store_fence(scratch) ((void)(scratch))

/* Nobody else is inside. */
#define __sync_lock_test_and_set(word, value)   \
	({                                      \
		typeof(*(word)) was_ = *(word); \
		*(word) = (value);              \
		was_;                           \
	})

/* Fixed at load there; here once, before the first packet. */
#define HFT_CONFIG_BPF_H
static struct hft_config config;

/* Array maps. `unused`: entries that config does not give it. Each is entered in a list, by which it is found by name. */
struct shim_map {
	const char *name;
	void *value;
	__u32 *unused;
	size_t size; /* of an entry */
	__u32 entries;
};

#define HFT_ARRAY(name_, value_, entries_, flags_)                                                                  \
	static struct {                                                                                             \
		value_ value[entries_];                                                                             \
		__u32 unused;                                                                                       \
		__u32 *key;                                                                                         \
		int (*type)[BPF_MAP_TYPE_ARRAY];                                                                    \
		int (*max_entries)[entries_];                                                                       \
	} name_ __attribute__((aligned(64)));                                                                       \
	_Static_assert(offsetof(typeof(name_), unused) == sizeof(value_) * (entries_), "where it is looked for");   \
	static const struct shim_map shim_map_##name_                                                               \
		__attribute__((section("shim_maps"), used)) = { #name_, name_.value, &name_.unused, sizeof(value_), \
								entries_ }

/* Hash maps: open addressing at half load. A key of zeros is none of ours. */
#define SHIM_ENTRIES(map) ((__u32)(sizeof(*(map)->max_entries) / sizeof(int)))
#define SHIM_KIND(map) (sizeof(*(map)->type) / sizeof(int))
#define SHIM_PLACES(map) (2 * SHIM_ENTRIES(map)) /* powers of two, as the maps' sizes are */

static __always_inline __u32 shim_hash(const void *key, size_t size)
{
	__u64 word, sum = 0;

	for (size_t at = 0; at < size; at += sizeof(word)) {
		memcpy(&word, (const char *)key + at, sizeof(word));
		sum = (sum ^ word) * 0x9e3779b97f4a7c15ULL;
	}
	return sum >> 32;
}

static __always_inline bool shim_is_zero(const void *key, size_t size)
{
	__u64 word, any = 0;

	for (size_t at = 0; at < size; at += sizeof(word)) {
		memcpy(&word, (const char *)key + at, sizeof(word));
		any |= word;
	}
	return !any;
}

/* The place of a key, or the free one where it belongs. */
static __always_inline __u32 shim_place(const void *keys, __u32 places, const void *key, size_t size)
{
	__u32 place = shim_hash(key, size) & (places - 1);

	for (;; place = (place + 1) & (places - 1)) {
		const char *there = (const char *)keys + place * size;

		if (!memcmp(there, key, size) || shim_is_zero(there, size))
			return place;
	}
}

/* Memory of a map that is not an array map; a hash map is empty before. */
#define shim_open(map)                                               \
	((map)->key = calloc(SHIM_PLACES(map), sizeof(*(map)->key)), \
	 (map)->value = calloc(SHIM_PLACES(map), sizeof(*(map)->value)), (map)->key && (map)->value ? 0 : -ENOMEM)

#define shim_hash_find(map, key_)                                                                           \
	({                                                                                                  \
		typeof(&(map)->value[0]) there_ = NULL;                                                     \
		if ((map)->key) {                                                                           \
			__u32 place_ = shim_place((map)->key, SHIM_PLACES(map), key_, sizeof(*(map)->key)); \
			if (!shim_is_zero(&(map)->key[place_], sizeof(*(map)->key)))                        \
				there_ = &(map)->value[place_];                                             \
		}                                                                                           \
		there_;                                                                                     \
	})

/* At most as many as its max_entries. */
#define shim_hash_put(map, key_, value_)                                                            \
	({                                                                                          \
		__u32 place_ = shim_place((map)->key, SHIM_PLACES(map), key_, sizeof(*(map)->key)); \
		memcpy(&(map)->key[place_], key_, sizeof(*(map)->key));                             \
		memcpy(&(map)->value[place_], value_, sizeof(*(map)->value));                       \
	})

/* Entries of a map that there are and that config does not give it: only array maps know any. */
#define SHIM_UNUSED(map)                                                                               \
	(SHIM_KIND(map) == BPF_MAP_TYPE_ARRAY && SHIM_ENTRIES(map) > 1                                 \
		 ? *(const __u32 *)((const char *)(map) + sizeof((map)->value[0]) * SHIM_ENTRIES(map)) \
		 : 0)

#define bpf_map_lookup_elem(map, key_)                                                                    \
	({                                                                                                \
		typeof(map) map_ = (map);                                                                 \
		const void *wanted_ = (key_);                                                             \
		typeof(&map_->value[0]) found_;                                                           \
		if (SHIM_KIND(map_) == BPF_MAP_TYPE_HASH) {                                               \
			found_ = shim_hash_find(map_, wanted_);                                           \
		} else {                                                                                  \
			__u32 at_ = *(const __u32 *)wanted_;                                              \
			found_ = at_ < SHIM_ENTRIES(map_) - SHIM_UNUSED(map_) ? &map_->value[at_] : NULL; \
		}                                                                                         \
		found_;                                                                                   \
	})

/* The event ring: the newest records, older ones are overwritten. `shim_ring_at`: bytes ever written. */
static __u8 shim_ring[HFT_RING_BYTES] __attribute__((aligned(64), unused));
static __u64 shim_ring_at __attribute__((unused));

#define bpf_ringbuf_reserve(map, size, flags)                                        \
	({                                                                           \
		_Static_assert(HFT_RING_BYTES % (size) == 0, "records do not wrap"); \
		(void *)(shim_ring + shim_ring_at % HFT_RING_BYTES);                 \
	})
#define bpf_ringbuf_submit(record, flags) ((void)(shim_ring_at += sizeof(*(record))))
#define bpf_ringbuf_discard(record, flags) ((void)(record))

#ifndef bpf_ktime_get_ns
static inline __u64 bpf_ktime_get_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000ULL + now.tv_nsec;
}
#endif
#define bpf_get_smp_processor_id() 0

/* No peer sends on the kernel's connections as the hook does. */
#define bpf_skc_lookup_tcp(ctx, tuple, size, netns, flags) ((struct bpf_sock *)NULL)
#define bpf_skc_to_tcp_sock(sock) ((struct tcp_sock *)(void *)(sock))
#define bpf_sk_release(sock) ((void)(sock))
#define BPF_CORE_READ_BITFIELD(owner, field) ((owner)->field)

static __always_inline long bpf_loop(__u32 rounds, long (*step)(__u32, void *), void *context, __u64 flags)
{
	(void)flags;
	for (__u32 i = 0; i < rounds; i++)
		if (step(i, context))
			return i + 1;
	return rounds;
}

/* A frame, and how far it may grow. */
struct xdp_md {
	__u8 *data;
	__u8 *data_end;
	__u8 *limit;
};

static __always_inline long bpf_xdp_load_bytes(struct xdp_md *ctx, __u32 offset, void *to, __u32 length)
{
	if (offset + (size_t)length > (size_t)(ctx->data_end - ctx->data))
		return -EINVAL;
	memcpy(to, ctx->data + offset, length);
	return 0;
}

static __always_inline long bpf_xdp_store_bytes(struct xdp_md *ctx, __u32 offset, const void *from, __u32 length)
{
	if (offset + (size_t)length > (size_t)(ctx->data_end - ctx->data))
		return -EINVAL;
	memcpy(ctx->data + offset, from, length);
	return 0;
}

static __always_inline long bpf_xdp_adjust_tail(struct xdp_md *ctx, int by)
{
	__u8 *end = ctx->data_end + by;

	if (end > ctx->limit || end < ctx->data + ETH_HLEN)
		return -EINVAL;
	if (by > 0)
		memset(ctx->data_end, 0, by);
	ctx->data_end = end;
	return 0;
}

static __always_inline __u64 bpf_xdp_get_buff_len(struct xdp_md *ctx)
{
	return ctx->data_end - ctx->data;
}

/* Of whole words, from nothing. A socket's datagrams get their checksum of the kernel, so a responder on one turns it off. */
static bool shim_no_sums __attribute__((unused));

static __always_inline __s64 bpf_csum_diff(const void *from, __u32 from_size, const void *to, __u32 to_size, __u32 seed)
{
	__u64 sum = seed;
	__u32 word;

	(void)from;
	(void)from_size;
	if (shim_no_sums)
		return 0;
	for (__u32 at = 0; at < to_size; at += sizeof(word)) {
		memcpy(&word, (const char *)to + at, sizeof(word));
		sum += word;
	}
	sum = (sum & 0xffffffff) + (sum >> 32);
	return (__u32)(sum + (sum >> 32));
}

#endif
