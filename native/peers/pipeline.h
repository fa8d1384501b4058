/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The hook's pipeline in user space: the same parse, book, strategy, gate and order code, compiled by the host's compiler. One a process,
 * one thread. Declarations only: cffi reads this file as it stands.
 */

/* Forget everything; `size` bytes of struct hft_config. -EINVAL: another config; -E2BIG: tables larger than are compiled in. */
int hft_pipeline_open(const void *config, size_t size);

/* What user space or another program wrote into an array or table: all of it, and no more is used from then on. The names are those of
 * turbo_hft.program.map_shapes. -ENOENT: there is none of that name; -EINVAL: not a whole number of entries, or too many. */
int hft_pipeline_put(const char *name, const void *data, size_t size);

/* The same memory, to look at: *size bytes that are in use. NULL: there is none of that name. */
void *hft_pipeline_get(const char *name, size_t *size);

/* The name of array or table `index`, NULL behind the last. */
const char *hft_pipeline_name(unsigned int index);

/* An entry of the flow table (struct hft_flow_key, struct hft_flow), or of the names (struct hft_name_key -> slot). -E2BIG: full. */
int hft_pipeline_add_flow(const void *key, const void *flow);
int hft_pipeline_add_name(const void *key, unsigned int slot);

/* A complete frame with room for `room` bytes: the verdict (XDP_*), and what is to be sent on XDP_TX, of *length bytes. */
int hft_pipeline_frame(void *frame, unsigned int *length, unsigned int room);

/* Where the payload of a datagram is put, at most HFT_PIPELINE_ROOM bytes, to be handled in place. */
unsigned char *hft_pipeline_rx(void);
#define HFT_PIPELINE_ROOM 3520

/* From now on there are no frames, only payloads: checksums are left to the kernel, those of the orders too. */
void hft_pipeline_use_sockets(void);

/* A packet of feed 0 lies there: bytes of the order datagram that it led to (hft_pipeline_order), 0 = none. */
unsigned int hft_pipeline_feed(unsigned int length);
const void *hft_pipeline_order(void);

/* A reply datagram lies there. */
void hft_pipeline_reply(unsigned int length);

/* Is any order open, so that a reply will come? Has the feed said that it ends? */
int hft_pipeline_in_flight(void);
int hft_pipeline_ended(void);

struct hft_pipeline_counts {
	unsigned long long packets; /* of the feed */
	unsigned long long messages;
	unsigned long long orders;
	unsigned long long gaps;
	unsigned long long events; /* records ever written */
};

void hft_pipeline_counts(struct hft_pipeline_counts *counts);

/* The newest event records, oldest first: up to `room` structs hft_event behind record number `from`; how many. */
unsigned int hft_pipeline_events(unsigned long long from, void *records, unsigned int room);
