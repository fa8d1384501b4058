/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What Python calls beside the live maps. Declarations only: cffi reads this file as it stands. Functions that can fail
 * return a negative errno value; file descriptors they return belong to the caller.
 */

/* A program, its maps and the types it was built from. */
struct hft_object;

/* What is loaded beside the object inside this module. All zero: nothing. */
struct hft_source {
	const void *engine; /* another build of the engine's own object, in its place: to test that build */
	size_t engine_size;
	const void *
		user; /* an object that is linked in: its hft_user_strategy takes the place of the engine's own, which does nothing */
	size_t user_size;
	const struct hft_object *replaces; /* the program whose maps are taken over; NULL = new ones */
	int explain; /* 1: `log` gets the verifier's figures */
};

/* Load with `config` (abi_version is filled in); its masks and `symbols` size the maps. A program that replaces another has the other's
 * config. On failure NULL, *error = -errno, and `log` holds what libbpf and the verifier said. */
struct hft_object *hft_load(const struct hft_config *config, const struct hft_source *source, char *log,
			    size_t log_size, int *error);

/* The running program of that id. On failure NULL and *error. */
struct hft_object *hft_adopt(unsigned int program_id, int *error);

/* One of a program and maps that were opened elsewhere, by their pins: their descriptors stay the caller's. Its BTF is asked of the kernel,
 * or, if that is not allowed, taken from the map "types". */
struct hft_object *hft_hold(int program_fd, const int *map_fds, unsigned int maps, int *error);
void hft_unload(struct hft_object *object);

/* Borrowed: good as long as the object is. Maps are known by their first 15 characters; -ENOENT if the program uses none of that name. */
int hft_program_fd(const struct hft_object *object);
int hft_map_fd(const struct hft_object *object, const char *name);

/* All of them, by number from 0 on: the same, and *name as the kernel has it; -ENOENT behind the last. */
int hft_map_at(const struct hft_object *object, unsigned int index, const char **name);

/* The BTF of the program as the kernel has it, and of the engine's own object: borrowed, NULL if there is none. */
const void *hft_btf(const struct hft_object *object, size_t *size);
const void *hft_engine_object(size_t *size);

/* What the kernel says of the program. */
struct hft_program_facts {
	unsigned int id;
	unsigned int verified_insns; /* how many the verifier looked at, each as often as it did */
	unsigned int xlated_bytes;
	unsigned int jited_bytes;
};

int hft_program_facts(const struct hft_object *object, struct hft_program_facts *facts);

/* BTF types of the program's functions in its order, up to `room`; how many. */
int hft_functions(const struct hft_object *object, unsigned int *types, unsigned int room);

/* Attach as a link: it lives as long as the returned descriptor. flags: HFT_XDP_*. */
int hft_attach(int program_fd, int ifindex, unsigned int flags);

/* A descriptor of the link that holds the program of that id; -ENOENT if none does. */
int hft_link_of_program(unsigned int program_id);

/* From the next packet on the link has `program_fd`, if it had `replaced_fd` until now. */
int hft_link_update(int link_fd, int program_fd, int replaced_fd);

/* Take a link's program off its interface, whoever else has the link open. */
int hft_link_detach(int link_fd);

/* What a link of an interface holds; *ifindex 0: the interface has gone. -EINVAL for another kind of link. */
int hft_link_facts(int link_fd, unsigned int *program_id, unsigned int *ifindex);

/* Is that path on a BPF file system? 1, 0 or -errno. */
int hft_on_bpffs(const char *path);

/* Give what a descriptor refers to a name there, and a descriptor by such a name. */
int hft_pin(int fd, const char *path);
int hft_open_pin(const char *path);

/* Wait until every packet that was under way in a program when this was called has left it. */
int hft_wait_for_packets(void);

/* The program on an interface: its id and HFT_XDP_* mode; -ENOENT if there is none. */
int hft_query(int ifindex, unsigned int *program_id, unsigned int *flags);

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

/* The same, only if the word is `from` until then: was it? */
int hft_exchange(unsigned long long *word, unsigned long long from, unsigned long long to);

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

/* A program of two instructions, which says HFT_VERDICT_* of every frame; its descriptor. */
int hft_load_constant(unsigned int verdict);

/* The event ring. One reader at a time; records arrive in order. What a call has returned counts as read when the next one begins, or at
 * the close: who dies in between leaves it to the next reader. */
struct hft_ring;
struct hft_ring *hft_ring_open(int map_fd, int *error);
void hft_ring_close(struct hft_ring *ring);
/* Copy up to `room` records; returns how many, without waiting. */
int hft_ring_drain(struct hft_ring *ring, struct hft_event *events, int room);
/* The same, polling for up to `timeout_ns` until there is at least one. */
int hft_ring_wait(struct hft_ring *ring, struct hft_event *events, int room, unsigned long long timeout_ns);

/* What a program was made of: the engine's object, and a strategy that was linked in. The table of them is a map of the program, "generations", which the hook does not read. */
struct hft_generation {
	__u64 number;
	__u64 first_epoch; /* no order of this epoch or a later one is older than this generation */
	__u64 settled_epoch; /* from this one on all are of it; 0 = not yet: in between some are of the generation before */
	__u32 program_id;
	__u32 object_bytes; /* 0 = none is linked in */
	unsigned char sha256[32];
	char name[64];
	unsigned char engine_sha256[32]; /* of the engine's own object */
	__u64 since_ns; /* CLOCK_REALTIME when it came into force */
	__u64 pad0[3];
};

struct hft_generations {
	__u64 current; /* its entry is entry[current % HFT_GENERATIONS] */
	__u64 suspended_from; /* enum hft_kill before the control plane made it HFT_SUSPENDED */
	__u64 controller; /* process id of who took the engine over last; whether it lives is told by its lock */
	__u64 watched; /* kernel id of the program that an upgrade puts in force until it is believed, 0 = none */
	__u64 pad0[12];
	struct hft_generation entry[1023];
};

/* How many are remembered. At the bound: what an order older than that many swaps was made by is not known. */
#define HFT_GENERATIONS 1023
