/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A program that says the same of every frame. */
#include <errno.h>

#include <bpf/bpf.h>
#include <linux/bpf.h>

#include "hft/limits.h"
#include "hft/abi.h"

#include "hft.h"

int hft_load_constant(unsigned int verdict)
{
	const struct bpf_insn program[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = (int)verdict },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	int fd = bpf_prog_load(BPF_PROG_TYPE_XDP, "hft_constant", "Dual BSD/GPL", program, 2, NULL);

	return fd < 0 ? -errno : fd;
}
