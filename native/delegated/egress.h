/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The program on what leaves the kernel's TCP: bpf/egress.bpf.c on an interface's egress. */
#ifndef HFT_DELEGATED_EGRESS_H
#define HFT_DELEGATED_EGRESS_H

/* On `ifindex`, with the engine's map `wire_fd`; in the place of one of a process that died. 0 or a negative errno value. */
int egress_attach(int ifindex, int wire_fd);

/* Off again. Another's filters stay, and so does the qdisc while there are some. */
void egress_detach(int ifindex);

#endif
