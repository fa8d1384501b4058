/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What is read of the kernel's connection. libbpf finds each by name in the running kernel's types, so nothing but the names matters
 * here.
 */
#ifndef HFT_SOCK_BPF_H
#define HFT_SOCK_BPF_H
#ifdef __bpf__
#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
#endif

struct sock_common {
	volatile unsigned char skc_state;
};

struct sock {
	struct sock_common __sk_common;
};

struct inet_sock {
	struct sock sk;
};

struct inet_connection_sock {
	struct inet_sock icsk_inet;
	__u8 icsk_ca_state : 5;
};

struct tcp_options_received {
	__u32 ts_recent;
};

struct tcp_sock {
	struct inet_connection_sock inet_conn;
	__u32 write_seq;
	__u32 snd_nxt;
	__u32 snd_una;
	__u32 snd_wnd;
	__u32 rcv_nxt;
	__u32 rcv_wup;
	__u32 rcv_wnd;
	__u32 tsoffset;
	__u32 sacked_out;
	__u32 lost_out;
	__u32 retrans_out;
	struct tcp_options_received rx_opt;
};

#ifdef __bpf__
#pragma clang attribute pop
#endif

#endif
