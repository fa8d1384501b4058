/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "hft/limits.h"
#include "hft/abi.h"
#include "guard.skel.h"

#include "guard.h"

/* The filter's place among those of the interface: what is found there is one of ours. */
#define GUARD_HANDLE 0x4854
#define GUARD_PRIORITY 0x4854

static int load(struct guard_bpf *guard, int wire_fd)
{
	int error = bpf_map__reuse_fd(guard->maps.data_wire, wire_fd);

	return error ?: bpf_object__load(guard->obj);
}

int guard_attach(int ifindex, int wire_fd)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = ifindex, .attach_point = BPF_TC_EGRESS);
	LIBBPF_OPTS(bpf_tc_opts, filter, .handle = GUARD_HANDLE, .priority = GUARD_PRIORITY, .flags = BPF_TC_F_REPLACE);
	struct guard_bpf *guard = guard_bpf__open();
	int error;

	if (!guard)
		return -errno;
	error = load(guard, wire_fd);
	if (!error) {
		error = bpf_tc_hook_create(&hook);
		error = error == -EEXIST ? 0 : error;
	}
	if (!error) {
		filter.prog_fd = bpf_program__fd(guard->progs.hft_guard);
		error = bpf_tc_attach(&hook, &filter);
	}
	guard_bpf__destroy(guard);
	return error;
}

void guard_detach(int ifindex)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = ifindex, .attach_point = BPF_TC_EGRESS);
	LIBBPF_OPTS(bpf_tc_opts, filter, .handle = GUARD_HANDLE, .priority = GUARD_PRIORITY);

	bpf_tc_detach(&hook, &filter);
}
