/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The day every contestant gets: one BinaryFILE of ITCH 5.0 in memory, its first part (directory and resting orders) untimed. And
 * what every contestant leaves: one line of JSON on stdout, and its book at the end in a file. Read as C and as C++.
 */
#ifndef BENCH_WORKLOAD_H
#define BENCH_WORKLOAD_H

#include <fcntl.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define FRAMING 2 /* bytes of the length before each message */
#define ITCH_LOCATE_AT 1
#define DIRECTORY_NAME_AT 11

struct workload {
	const uint8_t *bytes;
	size_t size;
	size_t timed_from; /* offset of the first timed message */
	uint64_t messages; /* timed ones */
	uint32_t listed; /* symbols of the directory */
};

/* Arguments are words like `prelude=17`. */
static inline const char *word_of(char **words, const char *name)
{
	size_t length = strlen(name);

	for (; *words; words++)
		if (!strncmp(*words, name, length) && (*words)[length] == '=')
			return *words + length + 1;
	fprintf(stderr, "%s=... is missing\n", name);
	exit(2);
}

static inline uint64_t number_of(char **words, const char *name)
{
	return strtoull(word_of(words, name), NULL, 10);
}

/* A struct, as hexadecimal digits. */
static inline void bytes_of(char **words, const char *name, void *to, size_t size)
{
	const char *digits = word_of(words, name);
	unsigned int byte;

	if (strlen(digits) != 2 * size) {
		fprintf(stderr, "%s: %zu bytes are wanted\n", name, size);
		exit(2);
	}
	for (size_t i = 0; i < size; i++) {
		if (sscanf(digits + 2 * i, "%2x", &byte) != 1) {
			fprintf(stderr, "%s: hexadecimal digits are wanted\n", name);
			exit(2);
		}
		((uint8_t *)to)[i] = byte;
	}
}

static inline uint32_t framed_length(const uint8_t *at)
{
	return (uint32_t)at[0] << 8 | at[1];
}

static inline size_t workload_after(const struct workload *day, size_t at)
{
	return at + FRAMING + framed_length(day->bytes + at);
}

/* Time of this thread on a CPU: turns of other processes do not count. */
static inline uint64_t cpu_ns(void)
{
	struct timespec time;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
	return time.tv_sec * 1000000000ULL + time.tv_nsec;
}

/* The file at `path`, its first `prelude` messages untimed; read once, so that no page of it is cold. */
static inline struct workload workload_open(const char *path, uint64_t prelude)
{
	struct workload day = {};
	uint64_t number = 0;
	struct stat file;
	int fd = open(path, O_RDONLY);

	if (fd < 0 || fstat(fd, &file)) {
		perror(path);
		exit(1);
	}
	day.size = file.st_size;
	day.bytes = (const uint8_t *)mmap(NULL, day.size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
	if (day.bytes == MAP_FAILED) {
		perror(path);
		exit(1);
	}
	close(fd);
	for (size_t at = 0; at < day.size; at = workload_after(&day, at), number++) {
		if (number == prelude)
			day.timed_from = at;
		day.listed += day.bytes[at + FRAMING] == 'R';
	}
	day.messages = number - prelude;
	return day;
}

/* Each directory message of the day, for a `for` with these two. */
static inline size_t workload_listing(const struct workload *day, size_t at)
{
	while (at < day->timed_from && day->bytes[at + FRAMING] != 'R')
		at = workload_after(day, at);
	return at;
}

#define for_each_listing(day, at)                                          \
	for (size_t at = workload_listing(day, 0); at < (day)->timed_from; \
	     at = workload_listing(day, workload_after(day, at)))

static inline const uint8_t *listing_name(const struct workload *day, size_t at)
{
	return day->bytes + at + FRAMING + DIRECTORY_NAME_AT;
}

static inline uint32_t listing_locate(const struct workload *day, size_t at)
{
	return framed_length(day->bytes + at + FRAMING + ITCH_LOCATE_AT);
}

static inline FILE *book_create(const char *path)
{
	FILE *file = fopen(path, "w");

	if (!file) {
		perror(path);
		exit(1);
	}
	return file;
}

/* One symbol's line. `orders`: how many are live, -1 when the contestant keeps no count. */
static inline void book_line(FILE *file, const uint8_t *name, uint32_t bid_e4, uint32_t ask_e4, int64_t orders)
{
	fprintf(file, "%.8s %" PRIu32 " %" PRIu32 " %" PRId64 "\n", (const char *)name, bid_e4, ask_e4, orders);
}

static inline void book_close_file(FILE *file)
{
	if (fclose(file)) {
		perror("book");
		exit(1);
	}
}

/* What it costs to have the timed part read(2) in pieces of `bytes`, and nothing done with it: ns/message. */
static inline double reading_ns(const struct workload *day, const char *path, size_t bytes)
{
	char *buffer = (char *)malloc(bytes);
	int fd = open(path, O_RDONLY);
	uint64_t before, after;

	if (!buffer || fd < 0 || lseek(fd, day->timed_from, SEEK_SET) < 0) {
		perror(path);
		exit(1);
	}
	memset(buffer, 1, bytes);
	before = cpu_ns();
	while (read(fd, buffer, bytes) > 0)
		;
	after = cpu_ns();
	close(fd);
	free(buffer);
	return (double)(after - before) / day->messages;
}

#endif
