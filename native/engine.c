/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Load, attach and find the program; read and write its maps. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if_link.h>

#include "hft/limits.h"
#include "hft/abi.h"
#include "xdp_hft.skel.h"

#include "hft.h"

#define STATE_READ_TRIES 100000

struct hft_object {
	struct xdp_hft *skeleton;
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

static struct xdp_hft *load_skeleton(const struct hft_config *config, int *error)
{
	struct xdp_hft *skeleton = xdp_hft__open();

	if (!skeleton) {
		*error = -errno;
		return NULL;
	}
	skeleton->rodata_config->config = *config;
	skeleton->rodata_config->config.abi_version = HFT_ABI_VERSION;
	skeleton->rodata_config->config.order_mask = HFT_ORDER_BUCKETS - 1;
	skeleton->rodata_config->config.level_mask = HFT_LEVEL_BUCKETS - 1;
	skeleton->rodata_config->config.ladder_mask = HFT_LADDER_BUCKETS - 1;
	*error = xdp_hft__load(skeleton);
	if (*error) {
		xdp_hft__destroy(skeleton);
		return NULL;
	}
	return skeleton;
}

struct hft_object *hft_load(const struct hft_config *config, char *log, size_t log_size, int *error)
{
	struct hft_object *object = calloc(1, sizeof(*object));

	if (!object) {
		*error = -ENOMEM;
		return NULL;
	}
	libbpf_set_strict_mode(LIBBPF_STRICT_ALL);
	libbpf_set_print(log_line);
	log_at = log;
	log_left = log_size;
	if (log_size)
		log[0] = '\0';
	object->skeleton = load_skeleton(config, error);
	log_at = NULL;
	if (!object->skeleton) {
		free(object);
		return NULL;
	}
	return object;
}

void hft_unload(struct hft_object *object)
{
	if (!object)
		return;
	xdp_hft__destroy(object->skeleton);
	free(object);
}

int hft_program_fd(const struct hft_object *object)
{
	return bpf_program__fd(object->skeleton->progs.xdp_hft);
}

int hft_map_fd(const struct hft_object *object, const char *name)
{
	return bpf_object__find_map_fd_by_name(object->skeleton->obj, name);
}

int hft_attach(int program_fd, int ifindex, unsigned int flags)
{
	LIBBPF_OPTS(bpf_link_create_opts, options, .flags = flags);
	int fd = bpf_link_create(program_fd, ifindex, BPF_XDP, &options);

	return fd < 0 ? -errno : fd;
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

int hft_program_by_id(unsigned int program_id)
{
	int fd = bpf_prog_get_fd_by_id(program_id);

	return fd < 0 ? -errno : fd;
}

int hft_map_of_program(int program_fd, const char *name)
{
	struct bpf_prog_info info = {};
	__u32 length = sizeof(info), ids[64];

	info.nr_map_ids = sizeof(ids) / sizeof(ids[0]);
	info.map_ids = (__u64)(unsigned long)ids;
	if (bpf_obj_get_info_by_fd(program_fd, &info, &length))
		return -errno;
	for (__u32 i = 0; i < info.nr_map_ids && i < sizeof(ids) / sizeof(ids[0]); i++) {
		struct bpf_map_info map = {};
		int fd = bpf_map_get_fd_by_id(ids[i]);

		if (fd < 0)
			return -errno;
		length = sizeof(map);
		if (!bpf_obj_get_info_by_fd(fd, &map, &length) && !strcmp(map.name, name))
			return fd;
		close(fd);
	}
	return -ENOENT;
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

int hft_state_read(const struct hft_symbol_state *shared, struct hft_symbol_state *copy)
{
	for (int i = 0; i < STATE_READ_TRIES; i++) {
		__u32 before = __atomic_load_n(&shared->version, __ATOMIC_ACQUIRE);

		if (before & 1)
			continue;
		memcpy(copy, (const void *)shared, sizeof(*copy));
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		if (__atomic_load_n(&shared->version, __ATOMIC_RELAXED) == before)
			return 0;
	}
	return -EAGAIN;
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

/* `verdict`, whatever the frame: two instructions. */
static int load_constant(const char *name, int verdict)
{
	const struct bpf_insn program[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = verdict },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	int fd = bpf_prog_load(BPF_PROG_TYPE_XDP, name, "Dual BSD/GPL", program, 2, NULL);

	return fd < 0 ? -errno : fd;
}

int hft_load_pass(void)
{
	return load_constant("hft_pass", XDP_PASS);
}

int hft_load_echo(void)
{
	return load_constant("hft_echo", XDP_TX);
}
