/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Link the engine's object with a user's. Not for cffi: engine.c loads what comes of it. */
#ifndef HFT_LINK_H
#define HFT_LINK_H

#include <stddef.h>

/* Both objects as one, in *linked (to be freed); 0 or -errno. libbpf says through its print callback what it did not like. */
int hft_link_objects(const void *engine, size_t engine_size, const void *user, size_t user_size, void **linked,
		     size_t *linked_size);

#endif
