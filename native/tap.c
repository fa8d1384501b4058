/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/types.h>

#include "tap.h"
#include "tap.skel.h"

#define ALIGNMENT 8

struct hft_tap {
	struct tap_bpf *programs;
	struct ring_buffer *ring;
	unsigned char *out;
	unsigned int room;
	unsigned int used;
};

/* libbpf has one print callback for the process: only one tap is opened at a time. */
static struct {
	char *text;
	size_t size;
} said;

static int note(enum libbpf_print_level level, const char *format, va_list arguments)
{
	size_t used;

	if (level == LIBBPF_DEBUG || !said.text)
		return 0;
	used = strlen(said.text);
	if (used + 1 < said.size)
		vsnprintf(said.text + used, said.size - used, format, arguments);
	return 0;
}

static int keep(void *context, void *data, size_t size)
{
	struct hft_tap *tap = context;

	memcpy(tap->out + tap->used, data, size);
	tap->used += (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
	/* Enough for one more, or the ring is read on another time. */
	return tap->used + sizeof(struct hft_tap_frame) + HFT_TAP_MOST > tap->room ? -ENOSPC : 0;
}

static int attach(struct hft_tap *tap, int program_fd, const char *function, int flows_fd, unsigned int ring_bytes)
{
	struct tap_bpf *programs = tap->programs;
	int error;

	error = bpf_program__set_attach_target(programs->progs.tap_entry, program_fd, function);
	if (!error)
		error = bpf_program__set_attach_target(programs->progs.tap_exit, program_fd, function);
	if (!error)
		error = bpf_map__reuse_fd(programs->maps.flows, flows_fd);
	if (!error)
		error = bpf_map__set_max_entries(programs->maps.tapped, ring_bytes);
	if (!error)
		error = tap_bpf__load(programs);
	if (!error) {
		tap->ring = ring_buffer__new(bpf_map__fd(programs->maps.tapped), keep, tap, NULL);
		error = tap->ring ? 0 : -errno;
	}
	/* The exit first: an entry without one would leave its copy behind. */
	if (!error) {
		programs->links.tap_exit = bpf_program__attach(programs->progs.tap_exit);
		error = programs->links.tap_exit ? 0 : -errno;
	}
	if (!error) {
		programs->links.tap_entry = bpf_program__attach(programs->progs.tap_entry);
		error = programs->links.tap_entry ? 0 : -errno;
	}
	return error;
}

struct hft_tap *hft_tap_open(int program_fd, const char *function, int flows_fd, unsigned int wanted,
			     unsigned int snaplen, unsigned int ring_bytes, char *log, unsigned int log_size,
			     int *error)
{
	struct hft_tap *tap = calloc(1, sizeof(*tap));
	libbpf_print_fn_t before;

	*error = -ENOMEM;
	if (!tap)
		return NULL;
	said.text = log;
	said.size = log_size;
	log[0] = 0;
	before = libbpf_set_print(note);
	tap->programs = tap_bpf__open();
	if (tap->programs) {
		tap->programs->rodata->wanted = wanted;
		tap->programs->rodata->snaplen = snaplen;
		*error = attach(tap, program_fd, function, flows_fd, ring_bytes);
	}
	libbpf_set_print(before);
	said.text = NULL;
	if (*error) {
		hft_tap_close(tap);
		return NULL;
	}
	return tap;
}

void hft_tap_close(struct hft_tap *tap)
{
	if (!tap)
		return;
	ring_buffer__free(tap->ring);
	tap_bpf__destroy(tap->programs);
	free(tap);
}

int hft_tap_drain(struct hft_tap *tap, unsigned char *out, unsigned int room)
{
	int error;

	tap->out = out;
	tap->room = room;
	tap->used = 0;
	error = ring_buffer__consume(tap->ring);
	return error < 0 && error != -ENOSPC ? error : (int)tap->used;
}

unsigned long long hft_tap_lost(const struct hft_tap *tap)
{
	return tap->programs->bss->lost;
}
