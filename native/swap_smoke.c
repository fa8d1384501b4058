/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Can a strategy be swapped on this kernel? One static program around the engine's own loader, for guests that hold nothing else.
 *
 *	swap_smoke OBJECT [SWAPS]
 *
 * Attaches the engine to the loopback device, and swaps the strategy in OBJECT: linked, loaded with the maps of the one before, put
 * in force by an update of the link. Frames run through each. Output as that of smoke.c.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <linux/if_link.h>

#include "hft/limits.h"
#include "hft/abi.h"
#include "hft.h"

#define LOG_BYTES (1u << 20)
#define LOOPBACK 1
#define FRAME_BYTES 64

static char log_text[LOG_BYTES];

__attribute__((noreturn)) static void fail(const char *what, int error)
{
	fflush(stdout);
	fprintf(stderr, "swap_smoke: %s: %s\n%s\n", what, strerror(-error), log_text);
	exit(1);
}

static void *read_object(const char *path, size_t *size)
{
	FILE *file = fopen(path, "rb");
	void *bytes = malloc(1u << 24);

	if (!file || !bytes)
		fail(path, -2);
	*size = fread(bytes, 1, 1u << 24, file);
	fclose(file);
	return bytes;
}

static unsigned int id_of(const struct hft_object *object, const char *map)
{
	struct bpf_map_info info = {};
	__u32 length = sizeof(info);

	if (bpf_obj_get_info_by_fd(hft_map_fd(object, map), &info, &length))
		fail(map, -1);
	return info.id;
}

static void run_frame(const struct hft_object *object)
{
	unsigned char frame[FRAME_BYTES] = {}, out[4096];
	unsigned int length = sizeof(out), verdict = 0, duration;
	int error = hft_test_run(hft_program_fd(object), frame, sizeof(frame), out, &length, 1, &verdict, &duration);

	if (error || verdict != XDP_PASS)
		fail("a frame does not pass", error);
}

/* The next generation takes the place of `old`. */
static struct hft_object *swap(struct hft_object *old, int link, const void *user, size_t size)
{
	struct hft_source source = { .user = user, .user_size = size, .replaces = old };
	struct hft_object *new;
	int error;

	new = hft_load(NULL, &source, log_text, sizeof(log_text), &error);
	if (!new)
		fail("the strategy does not load", error);
	if (id_of(new, ".data.engine") != id_of(old, ".data.engine") ||
	    id_of(new, ".data.control") != id_of(old, ".data.control"))
		fail("maps are not shared", 0);
	error = hft_link_update(link, hft_program_fd(new), hft_program_fd(old));
	if (error)
		fail("the link does not take it", error);
	if (!hft_link_update(link, hft_program_fd(new), hft_program_fd(old)))
		fail("the link takes what is not there to be replaced", 0);
	error = hft_wait_for_packets();
	if (error)
		fail("cannot wait for packets", error);
	run_frame(new);
	hft_unload(old);
	return new;
}

int main(int argc, char **argv)
{
	struct hft_config config = {
		.symbols = HFT_DEFAULT_SYMBOLS,
		.order_mask = HFT_DEFAULT_ORDER_BUCKETS - 1,
		.spill_mask = HFT_DEFAULT_SPILL_BUCKETS - 1,
		.level_mask = HFT_DEFAULT_LEVEL_BLOCKS - 1,
		.ladder_mask = HFT_DEFAULT_LADDER_BUCKETS - 1,
		.kept_mask = HFT_DEFAULT_KEPT - 1,
		.feeds = HFT_DEFAULT_FEEDS,
	};
	int swaps = argc > 2 ? atoi(argv[2]) : 3, error, link, found;
	struct hft_program_facts facts;
	struct hft_object *object;
	struct utsname name;
	size_t size;
	void *user;

	if (argc < 2)
		return 2;
	uname(&name);
	printf("smoke release %s\n", name.release);
	user = read_object(argv[1], &size);
	object = hft_load(&config, &(struct hft_source){}, log_text, sizeof(log_text), &error);
	if (!object)
		fail("the engine does not load", error);
	link = hft_attach(hft_program_fd(object), LOOPBACK, XDP_FLAGS_SKB_MODE);
	if (link < 0)
		fail("cannot attach to the loopback device", link);
	run_frame(object);
	for (int i = 0; i < swaps; i++)
		object = swap(object, link, user, size);
	if (hft_program_facts(object, &facts))
		fail("no facts", 0);
	found = hft_link_of_program(facts.id);
	if (found < 0)
		fail("the link is not found by its program", found);
	close(found);
	printf("smoke frames %d\nsmoke result pass\n", swaps);
	close(link);
	hft_unload(object);
	return 0;
}
