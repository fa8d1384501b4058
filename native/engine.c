/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Load, attach and find the program; read and write its maps; run frames through it. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <linux/if_link.h>

#include "hft/limits.h"
#include "hft/abi.h"
#include "hft/layout.h"
#include "xdp_hft.skel.h"

#include "frame.h"
#include "hft.h"
#include "link.h"

#define STATE_READ_TRIES 100000

#define STATS_LOG 4 /* BPF_LOG_STATS of the kernel's bpf_verifier.h */
#define MAX_MAPS 64 /* the kernel lets a program have no more */
#define MAP_NAME 16 /* and keeps no more of a name */
#define GENERATIONS "generations"
#define TYPES "types"

_Static_assert(HFT_GENERATIONS == sizeof(((struct hft_generations *)0)->entry) / sizeof(struct hft_generation),
	       "the table holds what its name says");

struct hft_object {
	int program;
	unsigned int maps;
	struct {
		char name[MAP_NAME];
		int fd;
	} map[MAX_MAPS];
	void *btf;
	size_t btf_size;
};

/* libbpf reports through one global callback: what it says while a thread loads goes to that thread's buffer. */
static _Thread_local char *log_at;
static _Thread_local size_t log_left;

static int log_line(enum libbpf_print_level level, const char *format, va_list arguments)
{
	int written;

	if (level == LIBBPF_DEBUG || !log_at)
		return 0;
	written = vsnprintf(log_at, log_left, format, arguments);
	if (written > 0) {
		size_t step = (size_t)written < log_left ? (size_t)written : log_left - 1;

		log_at += step;
		log_left -= step;
	}
	return written;
}

/* The hook masks and bounds its indexes by `config`: the maps must be as large as it says. */
static int size_maps(const struct xdp_hft *skeleton, const struct hft_config *config)
{
	const struct {
		struct bpf_map *map;
		__u64 entries;
	} sizes[] = {
		{ skeleton->maps.symbol_names, config->symbols },
		{ skeleton->maps.auctions, config->symbols },
		{ skeleton->maps.kept, config->feeds * (config->kept_mask + 1ULL) },
	};

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		int error = sizes[i].entries == (__u32)sizes[i].entries
				    ? bpf_map__set_max_entries(sizes[i].map, sizes[i].entries)
				    : -E2BIG;

		if (error)
			return error;
	}
	return 0;
}

/* Under the name that the kernel has for it. The descriptor is the object's from here on, and closed if it cannot be. */
static int hold_map(struct hft_object *object, int fd)
{
	struct bpf_map_info info = {};
	__u32 length = sizeof(info);

	if (fd < 0)
		return -errno;
	if (object->maps == MAX_MAPS || bpf_obj_get_info_by_fd(fd, &info, &length)) {
		int error = object->maps == MAX_MAPS ? -E2BIG : -errno;

		close(fd);
		return error;
	}
	memcpy(object->map[object->maps].name, info.name, MAP_NAME);
	object->map[object->maps++].fd = fd;
	return 0;
}

static int copy_of(int fd)
{
	return fcntl(fd, F_DUPFD_CLOEXEC, 0);
}

/* A one-element map; MMAPABLE, so that user space reads it in place. */
static int make_table(const char *name, __u64 bytes)
{
	LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = BPF_F_MMAPABLE);
	int fd;

	if (bytes > INT_MAX)
		return -E2BIG;
	fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, name, sizeof(__u32), bytes, 1, &options);
	return fd < 0 ? -errno : fd;
}

static int put_table(struct bpf_map *map, __u64 bytes)
{
	int fd = make_table(bpf_map__name(map), bytes), error;

	if (fd < 0)
		return fd;
	error = bpf_map__reuse_fd(map, fd);
	close(fd);
	return error;
}

/*
 * libbpf 1.1 takes the size of a global array from the object. So larger ones are made here and put in their place for the load;
 * afterwards (without config) maps of the old size take theirs, because libbpf unmaps by what it believes the size to be.
 */
static int put_tables(const struct xdp_hft *skeleton, const struct hft_config *config)
{
	const struct {
		struct bpf_map *map;
		size_t size;
		__u64 bare;
		__u64 configured;
	} tables[] = {
		{ skeleton->maps.data_books, sizeof(struct hft_book), HFT_DEFAULT_SYMBOLS,
		  config ? config->symbols : 0 },
		{ skeleton->maps.data_symbols, sizeof(struct hft_symbol_params), HFT_DEFAULT_SYMBOLS,
		  config ? config->symbols : 0 },
		{ skeleton->maps.data_bounds, sizeof(struct hft_symbol_limits), 2 * HFT_DEFAULT_SYMBOLS,
		  config ? 2ULL * config->symbols : 0 },
		{ skeleton->maps.data_state, sizeof(struct hft_symbol_state), HFT_DEFAULT_SYMBOLS,
		  config ? config->symbols : 0 },
		{ skeleton->maps.data_memory, sizeof(struct hft_memory), HFT_DEFAULT_SYMBOLS,
		  config ? config->symbols : 0 },
		{ skeleton->maps.data_locates, sizeof(__u16), HFT_DEFAULT_FEEDS * HFT_LOCATES,
		  config ? config->feeds * (__u64)HFT_LOCATES : 0 },
		{ skeleton->maps.data_orders, sizeof(struct hft_bucket), HFT_DEFAULT_ORDER_BUCKETS,
		  config ? config->order_mask + 1ULL : 0 },
		{ skeleton->maps.data_spill, sizeof(struct hft_bucket), HFT_DEFAULT_SPILL_BUCKETS,
		  config ? config->spill_mask + 1ULL : 0 },
		{ skeleton->maps.data_levels, sizeof(struct hft_level_block), HFT_DEFAULT_LEVEL_BLOCKS,
		  config ? config->level_mask + 1ULL : 0 },
		{ skeleton->maps.data_ladder, sizeof(struct hft_bucket), HFT_DEFAULT_LADDER_BUCKETS,
		  config ? config->ladder_mask + 1ULL : 0 },
	};
	int error = 0;

	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]) && !error; i++)
		error = put_table(tables[i].map, tables[i].size * (config ? tables[i].configured : tables[i].bare));
	return error;
}

/* Constants are not state: a user's object may have some too, and then they lie in one map. */
static int is_constant(const struct xdp_hft *skeleton, const struct bpf_map *map)
{
	return (bpf_map__map_flags(map) & BPF_F_RDONLY_PROG) && map != skeleton->maps.rodata_config;
}

/* Every map of the engine is that of the program which is replaced; those of a user's object are new. */
static int take_maps(const struct xdp_hft *skeleton, const struct hft_object *from)
{
	int error = 0;

	for (int i = 0; i < skeleton->skeleton->map_cnt && !error; i++) {
		struct bpf_map *map = *skeleton->skeleton->maps[i].map;
		int fd;

		if (is_constant(skeleton, map))
			continue;
		fd = hft_map_fd(from, bpf_map__name(map));
		error = fd < 0 ? fd : bpf_map__reuse_fd(map, fd);
	}
	return error;
}

/* The generations: a map that no instruction names, tied to the program so that it is found with it. */
static int hold_generations(struct hft_object *object, const struct hft_object *from)
{
	int fd = from ? hft_map_fd(from, GENERATIONS) : -ENOENT, error;

	fd = fd < 0 ? make_table(GENERATIONS, sizeof(struct hft_generations)) : copy_of(fd);
	error = fd < 0 ? fd : hold_map(object, fd);
	if (error)
		return error;
	return bpf_prog_bind_map(object->program, fd, NULL) ? -errno : 0;
}

/* The program's types, in a map of its own: the kernel shows BTF to nobody but CAP_SYS_ADMIN. */
static int hold_types(struct hft_object *object)
{
	int fd = make_table(TYPES, object->btf_size), error;
	__u32 zero = 0;

	if (fd < 0)
		return fd;
	if (bpf_map_update_elem(fd, &zero, object->btf, BPF_ANY)) {
		error = -errno;
		close(fd);
		return error;
	}
	error = hold_map(object, fd);
	if (error)
		return error;
	return bpf_prog_bind_map(object->program, fd, NULL) ? -errno : 0;
}

/* All that outlives the skeleton. */
static int hold_all(struct hft_object *object, const struct xdp_hft *skeleton, const struct hft_object *from)
{
	const struct bpf_map *map;
	const void *btf;
	__u32 size;

	object->program = copy_of(bpf_program__fd(skeleton->progs.xdp_hft));
	if (object->program < 0)
		return -errno;
	bpf_object__for_each_map(map, skeleton->obj)
	{
		int error = bpf_map__fd(map) < 0 ? 0 : hold_map(object, copy_of(bpf_map__fd(map)));

		if (error)
			return error;
	}
	btf = btf__raw_data(bpf_object__btf(skeleton->obj), &size);
	object->btf = btf ? malloc(size) : NULL;
	if (!object->btf)
		return -ENOMEM;
	memcpy(object->btf, btf, size);
	object->btf_size = size;
	return hold_types(object) ?: hold_generations(object, from);
}

static int load_skeleton(struct hft_object *object, const struct xdp_hft *skeleton, const struct hft_config *config,
			 const struct hft_object *from)
{
	int error, restored;

	if (from) {
		error = take_maps(skeleton, from);
	} else {
		skeleton->rodata_config->config = *config;
		skeleton->rodata_config->config.abi_version = HFT_ABI_VERSION;
		error = size_maps(skeleton, config);
		if (!error)
			error = put_tables(skeleton, config);
	}
	if (!error)
		error = bpf_object__load(skeleton->obj);
	if (!error)
		error = hold_all(object, skeleton, from);
	restored = put_tables(skeleton, NULL);
	return error ?: restored;
}

/* The object inside this module, or that with a user's linked in (*linked, which the skeleton reads from). */
static int open_skeleton(struct xdp_hft *skeleton, const struct hft_source *source, void **linked)
{
	int error = xdp_hft__create_skeleton(skeleton);

	if (!error && source->engine) {
		skeleton->skeleton->data = (void *)source->engine;
		skeleton->skeleton->data_sz = source->engine_size;
	}
	if (!error && source->user) {
		size_t size = 0;

		error = hft_link_objects(skeleton->skeleton->data, skeleton->skeleton->data_sz, source->user,
					 source->user_size, linked, &size);
		skeleton->skeleton->data = *linked;
		skeleton->skeleton->data_sz = size;
	}
	return error ?: bpf_object__open_skeleton(skeleton->skeleton, NULL);
}

static int load(struct hft_object *object, const struct hft_config *config, const struct hft_source *source, char *log,
		size_t log_size)
{
	struct xdp_hft *skeleton = calloc(1, sizeof(*skeleton));
	void *linked = NULL;
	int error;

	if (!skeleton)
		return -ENOMEM;
	error = open_skeleton(skeleton, source, &linked);
	if (!error && source->explain) {
		bpf_program__set_log_level(skeleton->progs.xdp_hft, STATS_LOG);
		bpf_program__set_log_buf(skeleton->progs.xdp_hft, log, log_size);
	}
	if (!error)
		error = load_skeleton(object, skeleton, config, source->replaces);
	xdp_hft__destroy(skeleton);
	free(linked);
	return error;
}

static struct hft_object *new_object(int *error)
{
	struct hft_object *object = calloc(1, sizeof(*object));

	if (object)
		object->program = -1;
	else
		*error = -ENOMEM;
	return object;
}

struct hft_object *hft_load(const struct hft_config *config, const struct hft_source *source, char *log,
			    size_t log_size, int *error)
{
	struct hft_object *object = new_object(error);

	if (!object)
		return NULL;
	libbpf_set_strict_mode(LIBBPF_STRICT_ALL);
	libbpf_set_print(log_line);
	if (log_size)
		log[0] = '\0';
	log_at = source->explain ? NULL : log;
	log_left = log_size;
	*error = load(object, config, source, log, log_size);
	log_at = NULL;
	if (*error) {
		hft_unload(object);
		return NULL;
	}
	return object;
}

/* The types of a running program. One without any is none of ours, which its maps tell. */
static int hold_btf(struct hft_object *object, __u32 id)
{
	struct bpf_btf_info info = {};
	__u32 length = sizeof(info);
	int fd = id ? bpf_btf_get_fd_by_id(id) : -1, error = 0;

	if (fd < 0)
		return id ? -errno : 0;
	if (bpf_obj_get_info_by_fd(fd, &info, &length)) {
		error = -errno;
	} else {
		object->btf = malloc(info.btf_size);
		object->btf_size = info.btf_size;
		info = (struct bpf_btf_info){ .btf = (__u64)(unsigned long)object->btf, .btf_size = object->btf_size };
		length = sizeof(info);
		error = !object->btf ? -ENOMEM : bpf_obj_get_info_by_fd(fd, &info, &length) ? -errno : 0;
	}
	close(fd);
	return error;
}

static int adopt(struct hft_object *object, unsigned int program_id)
{
	struct bpf_prog_info info = {};
	__u32 length = sizeof(info), ids[MAX_MAPS];
	int error = 0;

	object->program = bpf_prog_get_fd_by_id(program_id);
	if (object->program < 0)
		return -errno;
	info.nr_map_ids = MAX_MAPS;
	info.map_ids = (__u64)(unsigned long)ids;
	if (bpf_obj_get_info_by_fd(object->program, &info, &length))
		return -errno;
	for (__u32 i = 0; i < info.nr_map_ids && i < MAX_MAPS && !error; i++)
		error = hold_map(object, bpf_map_get_fd_by_id(ids[i]));
	return error ?: hold_btf(object, info.btf_id);
}

/* The same from the map, for who may not ask the kernel. */
static int hold_btf_of_map(struct hft_object *object)
{
	int fd = hft_map_fd(object, TYPES);
	struct bpf_map_info info = {};
	__u32 length = sizeof(info), zero = 0;

	if (fd < 0)
		return fd;
	if (bpf_obj_get_info_by_fd(fd, &info, &length))
		return -errno;
	object->btf = malloc(info.value_size);
	if (!object->btf)
		return -ENOMEM;
	object->btf_size = info.value_size;
	return bpf_map_lookup_elem(fd, &zero, object->btf) ? -errno : 0;
}

static int hold(struct hft_object *object, int program_fd, const int *map_fds, unsigned int maps)
{
	struct bpf_prog_info info = {};
	__u32 length = sizeof(info);
	int error = 0;

	object->program = copy_of(program_fd);
	if (object->program < 0 || bpf_obj_get_info_by_fd(object->program, &info, &length))
		return -errno;
	for (unsigned int i = 0; i < maps && !error; i++)
		error = hold_map(object, copy_of(map_fds[i]));
	if (error)
		return error;
	error = hold_btf(object, info.btf_id);
	return error == -EPERM || error == -EACCES ? hold_btf_of_map(object) : error;
}

struct hft_object *hft_hold(int program_fd, const int *map_fds, unsigned int maps, int *error)
{
	struct hft_object *object = new_object(error);

	if (!object)
		return NULL;
	*error = hold(object, program_fd, map_fds, maps);
	if (*error) {
		hft_unload(object);
		return NULL;
	}
	return object;
}

struct hft_object *hft_adopt(unsigned int program_id, int *error)
{
	struct hft_object *object = new_object(error);

	if (!object)
		return NULL;
	*error = adopt(object, program_id);
	if (*error) {
		hft_unload(object);
		return NULL;
	}
	return object;
}

void hft_unload(struct hft_object *object)
{
	if (!object)
		return;
	for (unsigned int i = 0; i < object->maps; i++)
		close(object->map[i].fd);
	if (object->program >= 0)
		close(object->program);
	free(object->btf);
	free(object);
}

int hft_program_fd(const struct hft_object *object)
{
	return object->program;
}

int hft_map_fd(const struct hft_object *object, const char *name)
{
	for (unsigned int i = 0; i < object->maps; i++)
		if (!strncmp(object->map[i].name, name, MAP_NAME - 1))
			return object->map[i].fd;
	return -ENOENT;
}

int hft_map_at(const struct hft_object *object, unsigned int index, const char **name)
{
	if (index >= object->maps)
		return -ENOENT;
	*name = object->map[index].name;
	return object->map[index].fd;
}

const void *hft_btf(const struct hft_object *object, size_t *size)
{
	*size = object->btf_size;
	return object->btf;
}

const void *hft_engine_object(size_t *size)
{
	return xdp_hft__elf_bytes(size);
}

int hft_program_facts(const struct hft_object *object, struct hft_program_facts *facts)
{
	struct bpf_prog_info info = {};
	__u32 length = sizeof(info);

	if (bpf_obj_get_info_by_fd(object->program, &info, &length))
		return -errno;
	facts->id = info.id;
	facts->verified_insns = info.verified_insns;
	facts->xlated_bytes = info.xlated_prog_len;
	facts->jited_bytes = info.jited_prog_len;
	return 0;
}

int hft_functions(const struct hft_object *object, unsigned int *types, unsigned int room)
{
	struct bpf_func_info *functions = calloc(room, sizeof(*functions));
	struct bpf_prog_info info = {};
	__u32 length = sizeof(info);
	int count = -ENOMEM;

	if (!functions)
		return count;
	info.nr_func_info = room;
	info.func_info_rec_size = sizeof(*functions);
	info.func_info = (__u64)(unsigned long)functions;
	if (bpf_obj_get_info_by_fd(object->program, &info, &length))
		count = -errno;
	else
		count = info.nr_func_info < room ? (int)info.nr_func_info : (int)room;
	for (int i = 0; i < count; i++)
		types[i] = functions[i].type_id;
	free(functions);
	return count;
}

int hft_attach(int program_fd, int ifindex, unsigned int flags)
{
	LIBBPF_OPTS(bpf_link_create_opts, options, .flags = flags);
	int fd = bpf_link_create(program_fd, ifindex, BPF_XDP, &options);

	return fd < 0 ? -errno : fd;
}

int hft_link_of_program(unsigned int program_id)
{
	__u32 id = 0;

	while (!bpf_link_get_next_id(id, &id)) {
		struct bpf_link_info info = {};
		__u32 length = sizeof(info);
		int fd = bpf_link_get_fd_by_id(id);

		if (fd < 0 && errno == ENOENT)
			continue; /* it went in the meantime */
		if (fd < 0)
			return -errno;
		if (!bpf_obj_get_info_by_fd(fd, &info, &length) && info.type == BPF_LINK_TYPE_XDP &&
		    info.prog_id == program_id)
			return fd;
		close(fd);
	}
	return -errno; /* ENOENT behind the last */
}

int hft_link_update(int link_fd, int program_fd, int replaced_fd)
{
	LIBBPF_OPTS(bpf_link_update_opts, options, .flags = BPF_F_REPLACE, .old_prog_fd = replaced_fd);

	return bpf_link_update(link_fd, program_fd, &options) ? -errno : 0;
}

int hft_wait_for_packets(void)
{
	/* An update of a map of maps returns when no program is left that could see the map before: the kernel's promise. */
	LIBBPF_OPTS(bpf_map_create_opts, options);
	int inner = bpf_map_create(BPF_MAP_TYPE_ARRAY, "hft_wait", sizeof(__u32), sizeof(__u32), 1, NULL);
	int outer, error = 0;
	__u32 zero = 0;

	if (inner < 0)
		return -errno;
	options.inner_map_fd = (__u32)inner;
	outer = bpf_map_create(BPF_MAP_TYPE_ARRAY_OF_MAPS, "hft_wait", sizeof(__u32), sizeof(__u32), 1, &options);
	if (outer < 0 || bpf_map_update_elem(outer, &zero, &inner, BPF_ANY))
		error = -errno;
	if (outer >= 0)
		close(outer);
	close(inner);
	return error;
}

int hft_query(int ifindex, unsigned int *program_id, unsigned int *flags)
{
	LIBBPF_OPTS(bpf_xdp_query_opts, options);
	int error = bpf_xdp_query(ifindex, 0, &options);

	if (error)
		return error;
	if (options.drv_prog_id) {
		*program_id = options.drv_prog_id;
		*flags = XDP_FLAGS_DRV_MODE;
	} else if (options.skb_prog_id) {
		*program_id = options.skb_prog_id;
		*flags = XDP_FLAGS_SKB_MODE;
	} else {
		return -ENOENT;
	}
	return 0;
}

int hft_map_shape(int map_fd, struct hft_map_shape *shape)
{
	struct bpf_map_info info = {};
	__u32 length = sizeof(info);

	if (bpf_obj_get_info_by_fd(map_fd, &info, &length))
		return -errno;
	shape->type = info.type;
	shape->key_size = info.key_size;
	shape->value_size = info.value_size;
	shape->max_entries = info.max_entries;
	return 0;
}

int hft_map_read(int map_fd, const void *key, void *value)
{
	return bpf_map_lookup_elem(map_fd, key, value) ? -errno : 0;
}

int hft_map_write(int map_fd, const void *key, const void *value)
{
	return bpf_map_update_elem(map_fd, key, value, BPF_ANY) ? -errno : 0;
}

int hft_map_delete(int map_fd, const void *key)
{
	return bpf_map_delete_elem(map_fd, key) ? -errno : 0;
}

int hft_map_next_key(int map_fd, const void *key, void *next_key)
{
	return bpf_map_get_next_key(map_fd, key, next_key) ? -errno : 0;
}

int hft_possible_cpus(void)
{
	return libbpf_num_possible_cpus();
}

void *hft_map_share(int map_fd, size_t length, int writable, int *error)
{
	void *memory = mmap(NULL, length, PROT_READ | (writable ? PROT_WRITE : 0), MAP_SHARED, map_fd, 0);

	if (memory == MAP_FAILED) {
		*error = -errno;
		return NULL;
	}
	return memory;
}

int hft_state_read(const struct hft_book *book, const struct hft_symbol_state *state, struct hft_book *book_copy,
		   struct hft_symbol_state *state_copy)
{
	for (int i = 0; i < STATE_READ_TRIES; i++) {
		__u32 before = __atomic_load_n(&book->version, __ATOMIC_ACQUIRE);

		if (before & 1)
			continue;
		memcpy(book_copy, book, sizeof(*book_copy));
		memcpy(state_copy, state, sizeof(*state_copy));
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		if (__atomic_load_n(&book->version, __ATOMIC_RELAXED) == before)
			return 0;
	}
	return -EAGAIN;
}

int hft_exchange(unsigned long long *word, unsigned long long from, unsigned long long to)
{
	return __atomic_compare_exchange_n(word, &from, to, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

void hft_publish(unsigned long long *word, unsigned long long value)
{
	__atomic_store_n(word, value, __ATOMIC_RELEASE);
}

/* Is it a message of a symbol, whole? No others are kept because a symbol is in quarantine. */
static int is_symbol_message(const struct hft_kept *message)
{
	static const unsigned char lengths[256] = {
		['H'] = 25, ['Y'] = 20, ['K'] = 28, ['J'] = 35, ['h'] = 21, ['P'] = 44, ['Q'] = 40,
		['A'] = 36, ['F'] = 40, ['E'] = 31, ['C'] = 36, ['X'] = 23, ['D'] = 19, ['U'] = 35,
	};

	return message->length && message->length == lengths[message->msg[0]];
}

unsigned int hft_kept_scan(const struct hft_kept *kept, const struct hft_kept_scan *scan, unsigned long long *sequence,
			   struct hft_kept *found, unsigned int room, unsigned long long *overwritten)
{
	const struct hft_kept *ring = kept + (size_t)scan->feed * ((size_t)scan->mask + 1);
	unsigned int count = 0;

	for (; *sequence < scan->end && count < room; ++*sequence) {
		const struct hft_kept *place = ring + (*sequence & scan->mask);
		__u64 wanted = hft_kept_tag(scan->generation, *sequence);
		__u64 tag = __atomic_load_n(&place->tag, __ATOMIC_ACQUIRE);
		struct hft_kept *copy = &found[count];

		if (tag == wanted) {
			memcpy(copy, place, sizeof(*copy));
			__atomic_thread_fence(__ATOMIC_ACQUIRE);
			tag = __atomic_load_n(&place->tag, __ATOMIC_RELAXED);
		}
		if (tag != wanted) {
			/* a later message of the session in its place: this one may have been there before */
			*overwritten += tag > wanted;
			continue;
		}
		copy->tag = *sequence;
		if (is_symbol_message(copy) && scan->locates[copy->msg[1] << 8 | copy->msg[2]])
			count++;
	}
	return count;
}

int hft_test_run(int program_fd, const void *frame, unsigned int length, void *out, unsigned int *out_length,
		 unsigned int repeat, unsigned int *verdict, unsigned int *duration_ns)
{
	LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = frame, .data_size_in = length, .data_out = out,
		    .data_size_out = *out_length, .repeat = repeat);

	if (bpf_prog_test_run_opts(program_fd, &options))
		return -errno;
	*out_length = options.data_size_out;
	*verdict = options.retval;
	*duration_ns = options.duration;
	return 0;
}

/* Run `length` bytes of payload behind headers whose lengths and checksums are set here; the verdict or -errno. */
static int run_datagram(int program_fd, unsigned char *frame, unsigned int headers_len, const void *payload,
			unsigned int length)
{
	LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = frame, .data_size_in = headers_len + length);
	unsigned char *udp = frame + headers_len - UDP_BYTES, *ipv4 = udp - IPV4_BYTES;

	if (length > HFT_MAX_FRAME - headers_len)
		return -EMSGSIZE;
	memcpy(frame + headers_len, payload, length);
	frame_set_lengths(ipv4, length);
	return bpf_prog_test_run_opts(program_fd, &options) ? -errno : (int)options.retval;
}

static int take_headers(unsigned char *frame, const void *headers, unsigned int headers_len)
{
	if (headers_len < FRAME_HEADERS || headers_len > HFT_MAX_HEADERS)
		return -EINVAL;
	memcpy(frame, headers, headers_len);
	return 0;
}

int hft_inject(int program_fd, const void *headers, unsigned int headers_len, const void *payload, unsigned int length)
{
	unsigned char frame[HFT_MAX_FRAME];
	int error = take_headers(frame, headers, headers_len);

	return error ? error : run_datagram(program_fd, frame, headers_len, payload, length);
}

int hft_run_packets(int program_fd, const void *headers, unsigned int headers_len, const void *packets,
		    unsigned int count, size_t size, unsigned int *done)
{
	const unsigned char *at = packets, *end = at + size;
	unsigned char frame[HFT_MAX_FRAME];
	int result = take_headers(frame, headers, headers_len);

	*done = 0;
	while (result >= 0 && *done < count) {
		__u32 length;

		if ((size_t)(end - at) < sizeof(length))
			return -EINVAL;
		memcpy(&length, at, sizeof(length));
		at += sizeof(length);
		if ((size_t)(end - at) < length)
			return -EINVAL;
		result = run_datagram(program_fd, frame, headers_len, at, length);
		at += length;
		*done += result >= 0;
	}
	return result < 0 ? result : 0;
}
