/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a load costs whose address the load before it gave, by the size of what is walked in random order, in ordinary pages and in
 * huge ones (if the system grants them): the floor under every look-up of an order. One line of JSON; chase takes no arguments.
 */
#include "workload.h"

#define LINE 64
#define STEPS 2000000
#define HUGE (2u << 20)

static const uint32_t megabytes[] = { 1, 8, 64 };

static uint64_t random_below(uint64_t bound)
{
	static uint64_t state = 88172645463325252ULL;

	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state % bound;
}

/* Each line holds the address of the next: one cycle through all, in random order (Sattolo). */
static void **cycle_make(uint8_t *memory, uint32_t lines)
{
	uint32_t *order = (uint32_t *)malloc(lines * sizeof(*order));

	for (uint32_t i = 0; i < lines; i++)
		order[i] = i;
	for (uint32_t i = lines - 1; i > 0; i--) {
		uint32_t other = random_below(i), kept = order[i];

		order[i] = order[other];
		order[other] = kept;
	}
	for (uint32_t i = 0; i < lines; i++)
		*(void **)(memory + (size_t)order[i] * LINE) = memory + (size_t)order[(i + 1) % lines] * LINE;
	free(order);
	return (void **)memory;
}

static void **walk(void **at, uint32_t steps)
{
	while (steps--)
		at = (void **)*at;
	return at;
}

static double chase_ns(size_t bytes, int advice)
{
	size_t room = bytes + HUGE;
	uint8_t *mapped = (uint8_t *)mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
		*memory;
	uint64_t before, after;
	void **at;

	if (mapped == MAP_FAILED) {
		perror("chase");
		exit(1);
	}
	memory = (uint8_t *)(((uintptr_t)mapped + HUGE - 1) / HUGE * HUGE);
	madvise(memory, bytes, advice);
	memset(memory, 0, bytes);
	at = walk(cycle_make(memory, bytes / LINE), bytes / LINE);
	before = cpu_ns();
	at = walk(at, STEPS);
	after = cpu_ns();
	if (!at)
		exit(1); /* never: but the walk has to be walked */
	munmap(mapped, room);
	return (double)(after - before) / STEPS;
}

static void print_pages(const char *name, int advice, const char *end)
{
	printf("\"%s\": {", name);
	for (size_t i = 0; i < sizeof(megabytes) / sizeof(megabytes[0]); i++)
		printf("%s\"%u\": %.2f", i ? ", " : "", megabytes[i], chase_ns((size_t)megabytes[i] << 20, advice));
	printf("}%s", end);
}

int main(void)
{
	printf("{");
	print_pages("small", MADV_NOHUGEPAGE, ", ");
	print_pages("huge", MADV_HUGEPAGE, "}\n");
	return 0;
}
