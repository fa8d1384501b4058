/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The guards of delegated sends (docs/delegated-send.md), in the hook and in user space. A build with -DHFT_WITHOUT_NAME=1 goes without
 * one, to see that a test misses it. By default none is left out, and nothing of this costs anything.
 */
#ifndef HFT_GUARD_H
#define HFT_GUARD_H

/* 1: one owner of the wire's next byte. */
#ifndef HFT_WITHOUT_OWNER
#define HFT_WITHOUT_OWNER 0
#endif
#ifndef HFT_WITHOUT_STEP /* the kernel's connection stands where the word says */
#define HFT_WITHOUT_STEP 0
#endif
#ifndef HFT_WITHOUT_WAITING /* what was handed over leaves first */
#define HFT_WITHOUT_WAITING 0
#endif
#ifndef HFT_WITHOUT_CLOSE /* FIN and RST of the peer */
#define HFT_WITHOUT_CLOSE 0
#endif
/* 2: armed only when all is sent, and between messages. */
#ifndef HFT_WITHOUT_UNSENT
#define HFT_WITHOUT_UNSENT 0
#endif
#ifndef HFT_WITHOUT_WHOLE
#define HFT_WITHOUT_WHOLE 0
#endif
/* 3 and 5: a free place for the report, so a bound on what is not merged. */
#ifndef HFT_WITHOUT_BOUND
#define HFT_WITHOUT_BOUND 0
#endif
/* 4: no acknowledgement above what the kernel's connection has sent. */
#ifndef HFT_WITHOUT_ACK
#define HFT_WITHOUT_ACK 0
#endif
/* 5: the peer's window. */
#ifndef HFT_WITHOUT_WINDOW
#define HFT_WITHOUT_WINDOW 0
#endif
/* 6: merged in order. */
#ifndef HFT_WITHOUT_ORDER
#define HFT_WITHOUT_ORDER 0
#endif
/* 7: when not to send. */
#ifndef HFT_WITHOUT_STATE
#define HFT_WITHOUT_STATE 0
#endif
#ifndef HFT_WITHOUT_RECOVERY
#define HFT_WITHOUT_RECOVERY 0
#endif
#ifndef HFT_WITHOUT_LEASE
#define HFT_WITHOUT_LEASE 0
#endif
/* 8: what outlives the process. */
#ifndef HFT_WITHOUT_KEEPER
#define HFT_WITHOUT_KEEPER 0
#endif
#ifndef HFT_WITHOUT_EGRESS
#define HFT_WITHOUT_EGRESS 0
#endif

#define GUARD(name, refuses) (!HFT_WITHOUT_##name && (refuses))

#endif
