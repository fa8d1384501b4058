/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What Python calls beside the live maps. Declarations only: cffi reads this file as it stands. Functions that can fail
 * return a negative errno value; file descriptors they return belong to the caller.
 */

/* The program and its maps, loaded from the object inside this module. */
struct hft_object;

/* Load with `config` (abi_version is filled in); its masks and `symbols` size the maps. On failure NULL, *error = -errno, and
 * `log` holds what libbpf and the verifier said. */
struct hft_object *hft_load(const struct hft_config *config, char *log, size_t log_size, int *error);
void hft_unload(struct hft_object *object);
int hft_program_fd(const struct hft_object *object);
int hft_map_fd(const struct hft_object *object, const char *name);

/* Attach as a link: it lives as long as the returned descriptor. flags: HFT_XDP_*. */
int hft_attach(int program_fd, int ifindex, unsigned int flags);

/* The program on an interface: its id and HFT_XDP_* mode; -ENOENT if there is none. */
int hft_query(int ifindex, unsigned int *program_id, unsigned int *flags);

/* A descriptor of the running program, and of the map of that name that it uses (-ENOENT if it uses none). */
int hft_program_by_id(unsigned int program_id);
int hft_map_of_program(int program_fd, const char *name);

struct hft_map_shape {
	unsigned int type;
	unsigned int key_size;
	unsigned int value_size;
	unsigned int max_entries;
};

int hft_map_shape(int map_fd, struct hft_map_shape *shape);
int hft_map_read(int map_fd, const void *key, void *value);
int hft_map_write(int map_fd, const void *key, const void *value);
int hft_map_delete(int map_fd, const void *key);
int hft_map_next_key(int map_fd, const void *key, void *next_key);
int hft_possible_cpus(void);

/* The element array of a mmapable array map: `length` bytes, shared with the hook, for the life of the process. NULL and
 * *error on failure. */
void *hft_map_share(int map_fd, size_t length, int writable, int *error);

/* Copies of a symbol's book and state, together, that the hook did not change while they were made; -EAGAIN if it never held
 * still. */
int hft_state_read(const struct hft_book *book, const struct hft_symbol_state *state, struct hft_book *book_copy,
		   struct hft_symbol_state *state_copy);

/* One aligned store that another CPU sees after everything that was stored before it. */
void hft_publish(unsigned long long *word, unsigned long long value);

/* The tables behind the books, in shared memory. */
struct hft_tables {
	const struct hft_level_block *levels;
	const struct hft_bucket *ladder;
	unsigned int level_mask;
	unsigned int ladder_mask;
};

struct hft_level {
	unsigned long long shares;
	unsigned int price_e4;
	unsigned int orders;
};

/* The best levels of both sides of a symbol at one moment, best first: up to `room` a side, bids from levels[0], offers from
 * levels[room]; counts[2]. The hook is not stopped. None for a book that is being cleared. -EAGAIN if it never held still. */
int hft_depth(const struct hft_tables *tables, const struct hft_book *book, unsigned int slot, struct hft_level *levels,
	      unsigned int room, unsigned int *counts);

/* Which kept messages: those of a feed's session up to `end` whose locate has a non-zero byte in locates[HFT_LOCATES]. */
struct hft_kept_scan {
	const unsigned char *locates;
	unsigned long long generation;
	unsigned long long end; /* the first sequence that is not wanted any more */
	unsigned int mask; /* config.kept_mask */
	unsigned int feed;
};

/* Copies of kept messages of symbols from *sequence on, in order, each with its plain sequence as tag; returns how many, at most
 * `room`. *sequence moves to where the next call goes on: `end` when nothing is left. *overwritten grows by each sequence whose
 * place a later message has taken: it may have been one of those wanted. */
unsigned int hft_kept_scan(const struct hft_kept *kept, const struct hft_kept_scan *scan, unsigned long long *sequence,
			   struct hft_kept *found, unsigned int room, unsigned long long *overwritten);

/* Run one frame through the program without a device. *out_length: room in `out`, then the frame's length. */
int hft_test_run(int program_fd, const void *frame, unsigned int length, void *out, unsigned int *out_length,
		 unsigned int repeat, unsigned int *verdict, unsigned int *duration_ns);

/* Run a datagram through the program without a device: complete headers up to UDP, IPv4 without options, whose lengths and
 * checksums are set here. The XDP verdict; -EMSGSIZE for a payload that no frame of HFT_MAX_FRAME bytes holds. */
int hft_inject(int program_fd, const void *headers, unsigned int headers_len, const void *payload, unsigned int length);

/* The same for `count` payloads, each behind its length (u32, host order), `size` bytes in all. Ends at the first error;
 * *done = how many ran. */
int hft_run_packets(int program_fd, const void *headers, unsigned int headers_len, const void *packets,
		    unsigned int count, size_t size, unsigned int *done);

/* The two-instruction programs that pass every frame, or send it back as it is; their descriptors. */
int hft_load_pass(void);
int hft_load_echo(void);

/* The event ring. One reader at a time; records arrive in order. */
struct hft_ring;
struct hft_ring *hft_ring_open(int map_fd, int *error);
void hft_ring_close(struct hft_ring *ring);
/* Copy up to `room` records; returns how many, without waiting. */
int hft_ring_drain(struct hft_ring *ring, struct hft_event *events, int room);
/* The same, polling for up to `timeout_ns` until there is at least one. */
int hft_ring_wait(struct hft_ring *ring, struct hft_event *events, int room, unsigned long long timeout_ns);
