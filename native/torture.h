/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Trials of the loaded program, in bulk: its books against a reference book after every message; its feed on two lines on which
 * everything goes wrong that can; a burst on a real wire. Frames go in by BPF_PROG_TEST_RUN, or through a packet socket.
 *
 * Read by gcc and by cffi: declarations only. Functions that can fail return a negative errno value.
 */
#ifndef HFT_TORTURE_H
#define HFT_TORTURE_H

enum {
	HFT_TRIAL_LEVELS = 16384, /* most levels a side that are compared */
	HFT_TRIAL_HEADERS = 64, /* room for Ethernet, IPv4 and UDP headers */
	HFT_TRIAL_PAYLOAD = 1472, /* largest MoldUDP64 packet */
};

/* What was found to be wrong; -EBADMSG says that something was. */
enum hft_fault {
	HFT_FAULT_NONE = 0,
	HFT_FAULT_MESSAGE, /* the reference cannot follow a message: the flow is wrong, not the hook */
	HFT_FAULT_VERDICT, /* not XDP_DROP, and no order either */
	HFT_FAULT_HEALTH, /* a book is not OK */
	HFT_FAULT_LOCATE, /* a book is not bound to its locate */
	HFT_FAULT_ORDERS, /* book_orders is wrong */
	HFT_FAULT_BEST, /* best_e4 is wrong */
	HFT_FAULT_DEPTH, /* a level is wrong, missing or too much */
	HFT_FAULT_TX_FEED, /* an order left while its feed was not live, or something of it was missing */
	HFT_FAULT_TX_BOOK, /* an order left in a symbol whose book was not OK */
	HFT_FAULT_TX_PRICE, /* an order left at a price that was not the best of its side */
	HFT_FAULT_TX_FRAME, /* an order frame that cannot be read */
	HFT_FAULTS,
};

/* The loaded program and what it shares, all of it the caller's. */
struct hft_trial {
	int32_t program_fd;
	uint32_t headers_len; /* of a feed frame: 42 */
	uint8_t headers[HFT_TRIAL_HEADERS]; /* lengths and checksums are set here */
	const struct hft_tables *tables;
	const struct hft_book *books;
	const uint16_t *slots; /* HFT_LOCATES of them: slot + 1 of a locate, 0 = not tracked */
	struct hft_level *levels; /* 2 x HFT_TRIAL_LEVELS: what was last read from the hook, bids first */
	uint32_t counts[2]; /* of them */
	/* the feed: session, next sequence, what draws the sizes of packets */
	uint8_t session[10];
	uint16_t pad0;
	uint32_t payload_len;
	uint64_t next;
	uint64_t random;
	uint8_t payload[HFT_TRIAL_PAYLOAD]; /* the last packet */
	/* what failed, after -EBADMSG */
	uint32_t fault; /* enum hft_fault */
	uint32_t slot;
	uint32_t locate;
	uint32_t verdict; /* the last one */
	uint64_t sequence; /* of the last message that the hook has */
	/* how much was done */
	uint64_t messages;
	uint64_t packets;
	uint64_t depths; /* both sides of a symbol, compared */
	uint64_t level_count; /* in them */
	uint64_t deepest; /* levels of one side */
	uint64_t crossed; /* of the depths */
};

/*
 * Messages in BinaryFILE framing, whole ones, through the program and through the reference, in packets of 1 to `most`; after each
 * packet the full depth of every tracked symbol that it touched must be equal.
 */
int hft_trial_run(struct hft_trial *trial, struct hft_reference *reference, const uint8_t *framed, uint64_t size,
		  uint32_t most);

/* The full depth of one symbol, best prices and number of orders against the reference: 0 or -EBADMSG. */
int hft_trial_compare(struct hft_trial *trial, const struct hft_reference *reference, uint32_t locate);

/* What happens to the packets of a line. Shares are out of 1,000,000 packets. */
struct hft_line_faults {
	uint32_t loss_ppm; /* a loss begins */
	uint32_t loss_packets; /* and takes 1 to so many packets in a row */
	uint32_t duplicate_ppm;
	uint32_t reorder_ppm;
	uint64_t delay_min_ns;
	uint64_t delay_max_ns;
	uint64_t reorder_ns; /* a reordered packet, and a duplicate, comes up to so much later */
};

struct hft_torture_config {
	struct hft_trial *trial; /* its headers are not used, its slots are the first session's */
	const struct hft_feed_state *feed;
	const struct hft_working *working;
	uint8_t line_headers[3 * HFT_TRIAL_HEADERS]; /* by enum hft_line, headers_len of each */
	uint8_t reply_headers[HFT_TRIAL_HEADERS]; /* of the exchange's order entry */
	uint64_t seed;
	struct hft_line_faults lines[2];
	uint32_t both_ppm; /* losses that befall both lines at once */
	uint32_t both_packets;
	uint32_t per_packet; /* a packet carries 1 to so many messages */
	uint32_t compare_packets; /* the depth of a packet's symbols is compared after one packet in so many */
	uint64_t compare_messages; /* that of every symbol each time so many messages were published */
	uint64_t heartbeat_ns; /* between heartbeats while the flow lasts */
	uint64_t idle_heartbeat_ns; /* and when it is over */
	uint64_t reply_min_ns; /* from an order to its replies */
	uint64_t reply_max_ns;
};

/* One gap, from the packet that showed it to the feed's being live again. */
struct hft_outage {
	uint64_t began_ns; /* virtual time */
	uint64_t ended_ns;
	uint64_t wall_began_ns; /* CLOCK_MONOTONIC */
	uint64_t wall_ended_ns;
};

/* How things stand. Virtual time is the exchange's: time stamps of the feed, and the days one after the other. */
struct hft_torture_state {
	uint64_t now_ns;
	uint64_t published; /* messages of this session */
	uint64_t total; /* so many it will have; 0 = not known yet */
	uint64_t messages; /* published, all sessions together */
	uint64_t packets; /* that the program met, of the lines */
	uint64_t lost; /* packets that a line lost */
	uint64_t duplicated;
	uint64_t reordered;
	uint64_t passed; /* packets of a session that the hook did not follow */
	uint64_t passed_newest; /* those of them that were of the newest session */
	uint64_t holds; /* things missing that came before the hook called them a gap */
	uint64_t longest_hold_ns;
	uint64_t tx_frames;
	uint64_t orders;
	uint64_t replies; /* OUCH messages to us */
	uint64_t outage_count;
	uint32_t sessions;
	uint32_t missing; /* 1 = something is missing now */
};

enum hft_pause {
	HFT_PAUSE_TIME = 0, /* it is `until_ns` */
	HFT_PAUSE_PUBLISHED, /* the last message of the session was published; told once */
};

struct hft_torture;

/* Pointers in the configuration must stay good. NULL and *error. */
struct hft_torture *hft_torture_create(const struct hft_torture_config *config, int *error);
void hft_torture_destroy(struct hft_torture *torture);
void hft_torture_look(const struct hft_torture *torture, struct hft_torture_state *state);

/*
 * A session begins, now: what precedes a market's flow, what rests in it, then `messages` of the flow. Messages of the one before
 * that are still on their way arrive; nothing more of it is published. `slots` as in hft_trial.
 */
int hft_torture_session(struct hft_torture *torture, struct hft_market *market, const uint8_t *session,
			const uint16_t *slots, uint64_t messages);

/* From now on the idle session says that it has ended. */
void hft_torture_end(struct hft_torture *torture);

/* Publish and deliver until `until_ns` (virtual). enum hft_pause, or -EBADMSG with the trial's fault. */
int hft_torture_run(struct hft_torture *torture, uint64_t until_ns);

/* A datagram of the re-request server arrives, now. */
int hft_torture_reply(struct hft_torture *torture, const uint8_t *payload, uint32_t length);

/* Compare all symbols that are OK. How many, or -EBADMSG. */
int hft_torture_compare(struct hft_torture *torture);

/* What the exchange's servers know: a message that was published in the session of a name, NULL if there was none; and the market
 * as published in the newest session, as hft_reference_snapshot gives it. */
const uint8_t *hft_torture_message(const struct hft_torture *torture, const uint8_t *session, uint64_t sequence,
				   uint32_t *length);
int64_t hft_torture_snapshot(struct hft_torture *torture, uint8_t *buffer, uint64_t room);

/* The book that follows what the hook has handled, in the session that it follows; NULL before the first. */
const struct hft_reference *hft_torture_truth(const struct hft_torture *torture);

/* Copies of the gaps from `first` on; how many. */
uint32_t hft_torture_outages(const struct hft_torture *torture, uint64_t first, struct hft_outage *outages,
			     uint32_t room);

/*
 * Complete frames, each behind its length (uint32_t, host order), through a packet socket: frame i at due_ns[i] after the first,
 * or as soon after as it can. *took_ns: from the first send to the end of the last.
 */
int hft_burst_send(int socket_fd, const uint8_t *frames, uint32_t count, const uint64_t *due_ns, uint64_t *took_ns);

#endif
