// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The whole program of the hook, and what a process around it needs. */
#include "hook_shim.h"

#include "../../bpf/xdp_hft.bpf.c"

#include "pipeline.h"

#define HEADERS 42 /* Ethernet, IPv4 and UDP of a frame that a socket has taken off */

_Static_assert(HFT_PIPELINE_ROOM == HFT_MAX_FRAME, "a payload is shorter than its frame");

extern const struct shim_map __start_shim_maps[], __stop_shim_maps[];

/* The tables that are no maps to the hook. `used`: entries that config gives them. */
static struct {
	const char *name;
	void *value;
	size_t size;
	__u32 entries;
	__u32 used;
} tables[] = {
#define ONE(name, table) { name, &table, sizeof(table), 1, 0 }
#define TABLE(name, table) { name, table, sizeof(table[0]), sizeof(table) / sizeof(table[0]), 0 }
	TABLE("feed_state", feeds),
	TABLE("books", books),
	TABLE("locates", locates),
	TABLE("book_orders", book_orders),
	TABLE("order_spill", order_spill),
	TABLE("book_levels", book_levels),
	TABLE("book_ladder", book_ladder),
	ONE("tallies", tallies),
	ONE("control", control),
	TABLE("limits", limits),
	TABLE("symbol_limits", symbol_limits),
	TABLE("symbol_params", symbol_params),
	ONE("order_template", order_template),
	ONE("wire", wire),
	ONE("session_state", session_state),
	TABLE("symbol_state", symbol_state),
	ONE("account", account),
	TABLE("working", working),
	TABLE("memory", memory),
#undef ONE
#undef TABLE
};

#define TABLES (sizeof(tables) / sizeof(tables[0]))
#define MAPS ((size_t)(__stop_shim_maps - __start_shim_maps))

const char *hft_pipeline_name(unsigned int index)
{
	if (index < TABLES)
		return tables[index].name;
	return index < TABLES + MAPS ? __start_shim_maps[index - TABLES].name : NULL;
}

static long find(const char *name)
{
	for (unsigned int i = 0; i < TABLES + MAPS; i++)
		if (!strcmp(hft_pipeline_name(i), name))
			return i;
	return -ENOENT;
}

/* Which packet touched a book is a number that the other program counts for itself; ours begin at 1. */
static void forget_touched(void)
{
	packet_number = 0;
	for (__u32 slot = 0; slot < config.symbols; slot++)
		books[slot].touched = 0;
}

int hft_pipeline_put(const char *name, const void *data, size_t size)
{
	long index = find(name);

	if (index < 0)
		return index;
	if (index < (long)TABLES) {
		if (size % tables[index].size || size / tables[index].size > tables[index].entries)
			return -EINVAL;
		tables[index].used = size / tables[index].size;
		memcpy(tables[index].value, data, size);
		if (tables[index].value == books)
			forget_touched();
	} else {
		const struct shim_map *map = &__start_shim_maps[index - TABLES];

		if (size % map->size || size / map->size > map->entries)
			return -EINVAL;
		*map->unused = map->entries - size / map->size;
		memcpy(map->value, data, size);
	}
	return 0;
}

void *hft_pipeline_get(const char *name, size_t *size)
{
	long index = find(name);
	const struct shim_map *map;

	if (index < 0)
		return NULL;
	if (index < (long)TABLES) {
		*size = tables[index].used * tables[index].size;
		return tables[index].value;
	}
	map = &__start_shim_maps[index - TABLES];
	*size = (map->entries - *map->unused) * map->size;
	return map->value;
}

/* Where the order of a socket is written, as if it had been the tick's frame. */
static __u8 socket_frame[HEADERS + HFT_PIPELINE_ROOM];
static const struct hft_template *template;

static unsigned int flow_entries;

/* The engine's own variables keep nothing of meaning from one packet to the next but the number of the packet. */
int hft_pipeline_open(const void *fixed, size_t size)
{
	const struct hft_config *wanted = fixed;
	size_t unused;
	int error;

	if (size != sizeof(config) || wanted->abi_version != HFT_ABI_VERSION)
		return -EINVAL;
	if (wanted->symbols > HFT_DEFAULT_SYMBOLS || wanted->order_mask >= HFT_DEFAULT_ORDER_BUCKETS ||
	    wanted->spill_mask >= HFT_DEFAULT_SPILL_BUCKETS || wanted->level_mask >= HFT_DEFAULT_LEVEL_BLOCKS ||
	    wanted->ladder_mask >= HFT_DEFAULT_LADDER_BUCKETS || wanted->feeds > HFT_DEFAULT_FEEDS ||
	    wanted->feeds * (wanted->kept_mask + 1ULL) > HFT_DEFAULT_FEEDS * HFT_DEFAULT_KEPT)
		return -E2BIG;
	config = *wanted;
	free(flows.key);
	free(flows.value);
	free(symbol_names.key);
	free(symbol_names.value);
	free(stats.key);
	free(stats.value);
	free(histograms.key);
	free(histograms.value);
	error = shim_open(&flows);
	error = error ?: shim_open(&symbol_names);
	error = error ?: shim_open(&stats);
	error = error ?: shim_open(&histograms);
	flow_entries = 0;
	template = hft_pipeline_get("order_template", &unused);
	shim_ring_at = 0;
	return error;
}

int hft_pipeline_add_flow(const void *key, const void *flow)
{
	if (!shim_hash_find(&flows, key) && ++flow_entries > HFT_MAX_FLOWS)
		return -E2BIG;
	shim_hash_put(&flows, key, flow);
	return 0;
}

int hft_pipeline_add_name(const void *key, unsigned int slot)
{
	if (slot >= config.symbols)
		return -E2BIG;
	shim_hash_put(&symbol_names, key, &slot);
	return 0;
}

int hft_pipeline_frame(void *frame, unsigned int *length, unsigned int room)
{
	struct xdp_md ctx = { frame, (__u8 *)frame + *length, (__u8 *)frame + room };
	int verdict = xdp_hft(&ctx);

	*length = ctx.data_end - ctx.data;
	return verdict;
}

unsigned char *hft_pipeline_rx(void)
{
	return rx;
}

void hft_pipeline_use_sockets(void)
{
	shim_no_sums = true;
}

unsigned int hft_pipeline_feed(unsigned int length)
{
	struct xdp_md ctx = { socket_frame, socket_frame + HEADERS + length, socket_frame + sizeof(socket_frame) };

	rx_len = length;
	memset(rx + length, 0, 4);
	entry_ns = bpf_ktime_get_ns();
	return feed_packet(&ctx, 0, HFT_LINE_A) == XDP_TX ? tx_len : 0;
}

const void *hft_pipeline_order(void)
{
	return socket_frame + template->headers_len;
}

void hft_pipeline_reply(unsigned int length)
{
	rx_len = length;
	memset(rx + length, 0, 4);
	entry_ns = bpf_ktime_get_ns();
	reply_packet();
}

int hft_pipeline_in_flight(void)
{
	return the_account()->open_orders != 0;
}

int hft_pipeline_ended(void)
{
	return tallies.counter[HFT_C_FEED_END_OF_SESSION] != 0;
}

void hft_pipeline_counts(struct hft_pipeline_counts *counts)
{
	counts->packets = tallies.counter[HFT_C_FEED_PACKETS];
	counts->messages = tallies.counter[HFT_C_FEED_MESSAGES];
	counts->orders = tallies.counter[HFT_C_ORDERS];
	counts->gaps = tallies.counter[HFT_C_FEED_GAPS];
	counts->events = shim_ring_at / sizeof(struct hft_event);
}

unsigned int hft_pipeline_events(unsigned long long from, void *records, unsigned int room)
{
	unsigned long long end = shim_ring_at / sizeof(struct hft_event);
	unsigned int many = 0;

	for (; from < end && many < room; from++, many++)
		memcpy((struct hft_event *)records + many, shim_ring + from * sizeof(struct hft_event) % HFT_RING_BYTES,
		       sizeof(struct hft_event));
	return many;
}
