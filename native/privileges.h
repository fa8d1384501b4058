/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Declarations only: cffi reads this file as it stands. */

/* Give up, in every thread of this process, all capabilities whose bit is not in `keep`, and every way to get new ones. 0 or -errno. */
int hft_give_up_capabilities(unsigned long long keep);
