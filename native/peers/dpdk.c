// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The DPDK peer, a program of its own: one lcore that polls one port and runs the engine's own pipeline on what it finds, in place.
 *
 * dpdk IMAGE EAL-ARGUMENTS...
 *
 * IMAGE is what turbo_hft.latency.pipeline.Pipeline.save wrote. A line `ready` on stdout, and one of JSON at the end.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>

#include "pipeline.h"

#define BURST 32
#define RING 1024
#define BUFFERS 8191
#define CACHE 256
#define TX 3 /* XDP_TX */

struct part {
	char name[32];
	uint64_t bytes;
} __attribute__((packed));

static int fail(const char *what, int error)
{
	fprintf(stderr, "%s: %s\n", what, strerror(error < 0 ? -error : error));
	return 1;
}

static int take_part(const struct part *part, const unsigned char *data)
{
	unsigned int slot;

	if (!strcmp(part->name, "config"))
		return hft_pipeline_open(data, part->bytes);
	if (!strcmp(part->name, "flows"))
		return hft_pipeline_add_flow(data, data + 8);
	if (!strcmp(part->name, "symbol_names")) {
		memcpy(&slot, data + 16, sizeof(slot));
		return hft_pipeline_add_name(data, slot);
	}
	return hft_pipeline_put(part->name, data, part->bytes);
}

static int take_image(const char *path)
{
	FILE *image = fopen(path, "rb");
	struct part part;
	int error = 0;

	if (!image)
		return -errno;
	while (!error && fread(&part, sizeof(part), 1, image) == 1) {
		unsigned char *data = malloc(part.bytes + 1);

		if (!data || fread(data, 1, part.bytes, image) != part.bytes)
			error = -EIO;
		else
			error = take_part(&part, data);
		free(data);
	}
	fclose(image);
	return error;
}

static int open_port(uint16_t port)
{
	const struct rte_eth_conf configuration = {};
	struct rte_mempool *pool =
		rte_pktmbuf_pool_create("peer", BUFFERS, CACHE, 0, RTE_MBUF_DEFAULT_BUF_SIZE, rte_socket_id());
	int error;

	if (!pool)
		return -rte_errno;
	error = rte_eth_dev_configure(port, 1, 1, &configuration);
	if (!error)
		error = rte_eth_rx_queue_setup(port, 0, RING, rte_socket_id(), NULL, pool);
	if (!error)
		error = rte_eth_tx_queue_setup(port, 0, RING, rte_socket_id(), NULL);
	return error ? error : rte_eth_dev_start(port);
}

/* Room for orders that are longer than their tick is in the buffer already. */
static void handle(uint16_t port, struct rte_mbuf *buffer)
{
	unsigned int length = rte_pktmbuf_data_len(buffer), room = length + rte_pktmbuf_tailroom(buffer);

	if (buffer->nb_segs == 1 && hft_pipeline_frame(rte_pktmbuf_mtod(buffer, void *), &length, room) == TX) {
		rte_pktmbuf_data_len(buffer) = rte_pktmbuf_pkt_len(buffer) = length;
		if (rte_eth_tx_burst(port, 0, &buffer, 1) == 1)
			return;
	}
	rte_pktmbuf_free(buffer);
}

static void run(uint16_t port)
{
	struct rte_mbuf *found[BURST];

	while (!hft_pipeline_ended()) {
		uint16_t many = rte_eth_rx_burst(port, 0, found, BURST);

		for (uint16_t i = 0; i < many; i++)
			handle(port, found[i]);
	}
}

static void tell(uint16_t port)
{
	struct hft_pipeline_counts counts;
	struct rte_eth_dev_info device = {};
	struct rte_eth_stats stats = {};

	hft_pipeline_counts(&counts);
	rte_eth_stats_get(port, &stats);
	rte_eth_dev_info_get(port, &device);
	printf("{\"packets\": %llu, \"messages\": %llu, \"orders\": %llu, \"gaps\": %llu, \"lost\": ", counts.packets,
	       counts.messages, counts.orders, counts.gaps);
	/* net_af_packet does not tell what the kernel had no room for. */
	if (device.driver_name && !strcmp(device.driver_name, "net_af_xdp"))
		printf("%" PRIu64 "}\n", stats.imissed + stats.rx_nombuf);
	else
		printf("null}\n");
	fflush(stdout);
}

int main(int count, char **words)
{
	const char *path = count > 1 ? words[1] : NULL;
	uint16_t port = 0;
	int error;

	if (!path) {
		fprintf(stderr, "usage: dpdk IMAGE EAL-ARGUMENTS...\n");
		return 2;
	}
	words[1] = words[0];
	if (rte_eal_init(count - 1, words + 1) < 0)
		return fail("EAL", rte_errno);
	error = take_image(path);
	if (error)
		return fail(path, error);
	if (!rte_eth_dev_count_avail()) {
		fprintf(stderr, "the driver made no port\n");
		return 1;
	}
	error = open_port(port);
	if (error)
		return fail("port", error);
	printf("ready\n");
	fflush(stdout);
	run(port);
	tell(port);
	rte_eth_dev_stop(port);
	rte_eth_dev_close(port);
	rte_eal_cleanup();
	return 0;
}
