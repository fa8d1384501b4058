/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What Python calls beside the live maps. Declarations only: cffi reads this file as it stands. Functions that can fail
 * return a negative errno value; file descriptors they return belong to the caller.
 */

/* The program and its maps, loaded from the object inside this module. */
struct hft_object;

/* Load with `config` (abi_version and masks are filled in). On failure NULL, *error = -errno, and `log` holds what libbpf and
 * the verifier said. */
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

/* A copy of a symbol's state that the hook did not change while it was made; -EAGAIN if it never held still. */
int hft_state_read(const struct hft_symbol_state *shared, struct hft_symbol_state *copy);

/* Run one frame through the program without a device. *out_length: room in `out`, then the frame's length. */
int hft_test_run(int program_fd, const void *frame, unsigned int length, void *out, unsigned int *out_length,
		 unsigned int repeat, unsigned int *verdict, unsigned int *duration_ns);

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
