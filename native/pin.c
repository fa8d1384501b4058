/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Pins: names on a BPF file system, by which programs, maps and links outlive the process that made them. */
#include <errno.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <linux/bpf.h>
#include <linux/magic.h>

#include "hft/limits.h"
#include "hft/abi.h"

#include "hft.h"

int hft_on_bpffs(const char *path)
{
	struct statfs about;

	if (statfs(path, &about))
		return -errno;
	return about.f_type == BPF_FS_MAGIC;
}

int hft_pin(int fd, const char *path)
{
	return bpf_obj_pin(fd, path) ? -errno : 0;
}

int hft_open_pin(const char *path)
{
	int fd = bpf_obj_get(path);

	return fd < 0 ? -errno : fd;
}

int hft_link_detach(int link_fd)
{
	return bpf_link_detach(link_fd) ? -errno : 0;
}

int hft_link_facts(int link_fd, unsigned int *program_id, unsigned int *ifindex)
{
	struct bpf_link_info info = {};
	__u32 length = sizeof(info);

	if (bpf_obj_get_info_by_fd(link_fd, &info, &length))
		return -errno;
	if (info.type != BPF_LINK_TYPE_XDP)
		return -EINVAL;
	*program_id = info.prog_id;
	*ifindex = info.xdp.ifindex;
	return 0;
}
