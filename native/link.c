/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * libbpf's linker: a strong function of a user's object takes the place of a weak one of the engine's. Nothing is compiled. It
 * wants files by name; these are in memory and have a name as long as they are open.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <bpf/libbpf.h>

#include "link.h"

#define NAME_BYTES 32 /* "/proc/self/fd/" and a descriptor */

static int write_all(int fd, const unsigned char *bytes, size_t size)
{
	while (size) {
		ssize_t written = write(fd, bytes, size);

		if (written < 0 && errno == EINTR)
			continue;
		if (written < 0)
			return -errno;
		bytes += written;
		size -= (size_t)written;
	}
	return 0;
}

/* A file in memory; its descriptor or -errno. */
static int memory_file(const char *title, const void *bytes, size_t size, char name[NAME_BYTES])
{
	int fd = memfd_create(title, MFD_CLOEXEC), error;

	if (fd < 0)
		return -errno;
	error = write_all(fd, bytes, size);
	if (error) {
		close(fd);
		return error;
	}
	snprintf(name, NAME_BYTES, "/proc/self/fd/%d", fd);
	return fd;
}

static int link_files(const char *linked, const char *engine, const char *user)
{
	struct bpf_linker *linker = bpf_linker__new(linked, NULL);
	int error;

	if (!linker)
		return -errno;
	/* The engine first: of two equal things the linker keeps the earlier one. */
	error = bpf_linker__add_file(linker, engine, NULL);
	if (!error)
		error = bpf_linker__add_file(linker, user, NULL);
	if (!error)
		error = bpf_linker__finalize(linker);
	bpf_linker__free(linker);
	return error;
}

static int read_back(int fd, void **bytes, size_t *size)
{
	off_t end = lseek(fd, 0, SEEK_END);
	unsigned char *copy;
	size_t got = 0;

	if (end < 0)
		return -errno;
	copy = malloc((size_t)end);
	if (!copy)
		return -ENOMEM;
	while (got < (size_t)end) {
		ssize_t more = pread(fd, copy + got, (size_t)end - got, (off_t)got);

		if (more < 0 && errno == EINTR)
			continue;
		if (more <= 0) {
			free(copy);
			return more ? -errno : -EIO;
		}
		got += (size_t)more;
	}
	*bytes = copy;
	*size = (size_t)end;
	return 0;
}

int hft_link_objects(const void *engine, size_t engine_size, const void *user, size_t user_size, void **linked,
		     size_t *linked_size)
{
	char engine_name[NAME_BYTES], user_name[NAME_BYTES], linked_name[NAME_BYTES];
	int engine_fd = memory_file("engine", engine, engine_size, engine_name);
	int user_fd = memory_file("strategy", user, user_size, user_name);
	int linked_fd = memory_file("linked", "", 0, linked_name);
	int error = engine_fd < 0 ? engine_fd : user_fd < 0 ? user_fd : linked_fd < 0 ? linked_fd : 0;

	if (!error)
		error = link_files(linked_name, engine_name, user_name);
	if (!error)
		error = read_back(linked_fd, linked, linked_size);
	if (engine_fd >= 0)
		close(engine_fd);
	if (user_fd >= 0)
		close(user_fd);
	if (linked_fd >= 0)
		close(linked_fd);
	return error;
}
