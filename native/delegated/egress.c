/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "hft/limits.h"
#include "hft/abi.h"
#include "egress.skel.h"

#include "egress.h"

/* The filter's place among those of the interface: what is found there is one of ours. */
#define EGRESS_HANDLE 0x4854
#define EGRESS_PRIORITY 0x4854

static int load(struct egress_bpf *egress, int wire_fd)
{
	int error = bpf_map__reuse_fd(egress->maps.data_wire, wire_fd);

	return error ?: bpf_object__load(egress->obj);
}

int egress_attach(int ifindex, int wire_fd)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = ifindex, .attach_point = BPF_TC_EGRESS);
	LIBBPF_OPTS(bpf_tc_opts, filter, .handle = EGRESS_HANDLE, .priority = EGRESS_PRIORITY,
		    .flags = BPF_TC_F_REPLACE);
	struct egress_bpf *egress = egress_bpf__open();
	int error;

	if (!egress)
		return -errno;
	error = load(egress, wire_fd);
	if (!error) {
		error = bpf_tc_hook_create(&hook);
		error = error == -EEXIST ? 0 : error;
	}
	if (!error) {
		filter.prog_fd = bpf_program__fd(egress->progs.hft_egress);
		error = bpf_tc_attach(&hook, &filter);
	}
	egress_bpf__destroy(egress);
	return error;
}

void egress_detach(int ifindex)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = ifindex, .attach_point = BPF_TC_EGRESS);
	LIBBPF_OPTS(bpf_tc_opts, filter, .handle = EGRESS_HANDLE, .priority = EGRESS_PRIORITY);

	bpf_tc_detach(&hook, &filter);
}
