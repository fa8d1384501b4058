/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Every kernel, compiler and CPU difference, each with its reason. The floor is Linux 6.1. */
#ifndef HFT_COMPAT_BPF_H
#define HFT_COMPAT_BPF_H

/* Global functions are verified once, whatever calls them: this keeps the whole program at some 10^4 instructions. */
#define hft_global __attribute__((noinline))
#define hft_inline static __always_inline

/*
 * The engine's own variables: in a map of their own, which a new version of the program takes over, whatever variables a linked-in
 * strategy brings. (`used`, which SEC implies, also keeps LLVM from taking a static struct apart into variables that its BTF still
 * describes as the struct; the kernel refuses that BTF.)
 */
#define HFT_STATE SEC(".data.engine")

/* Kept as a loop: code that stays in the instruction cache, and one state instead of one a round for the verifier. */
#define hft_rolled _Pragma("clang loop unroll(disable)")

/*
 * LLVM drops an AND whose effect it can prove; the verifier of 6.1 has lost those bounds by then (spills, OR, XOR).
 * The empty asm makes the value opaque, so the AND that follows stays.
 */
#define hft_opaque(x) asm volatile("" : "+r"(x))

/* An index that both compiler and verifier know to lie below a power of two. */
#define hft_masked(x, size)                 \
	({                                  \
		__u64 masked_ = (__u64)(x); \
		hft_opaque(masked_);        \
		masked_ &((size) - 1);      \
	})

/*
 * The length of a helper call, known to lie in 1..size, size a power of two. A test against 0 does not do: the
 * verifier of 6.1 learns nothing from `!=`, and it refuses a length that may be 0.
 */
#define hft_length(x, size) (hft_masked((x) - 1, size) + 1)

/*
 * Stores become visible in order. x86-64 keeps stores in order by itself; elsewhere an atomic that returns a value is a
 * full barrier in BPF (there is no plain barrier instruction on 6.1).
 */
#if defined(__TARGET_ARCH_x86)
#define hft_store_fence(scratch) asm volatile("" ::: "memory")
#else
#define hft_store_fence(scratch) ((void)__sync_fetch_and_add((scratch), 0))
#endif

#endif
