/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* OUCH 5.0 and 4.2 replies, decoded into one shape. Rule 8, first table. Touches no state. */
#ifndef HFT_OUCH_BPF_H
#define HFT_OUCH_BPF_H

enum reply_kind {
	REPLY_UNHANDLED = 0, /* concerns neither an order of ours nor a position */
	REPLY_IN_DOUBT, /* changes orders or positions in a way this engine does not follow */
	REPLY_BAD_LENGTH,
	REPLY_UNREADABLE_REF, /* an OUCH 4.2 token that we cannot have sent */
	REPLY_SYSTEM,
	REPLY_ACCEPTED,
	REPLY_REPLACED,
	REPLY_EXECUTED,
	REPLY_CANCELED,
	REPLY_REJECTED,
	REPLY_BROKEN,
	REPLY_CANCEL_PENDING,
	REPLY_CANCEL_REJECTED,
	REPLY_PRIORITY,
	REPLY_MODIFIED,
	REPLY_RESTATED,
};

struct reply {
	__u32 kind;
	__u32 user_ref;
	__u32 other_ref; /* REPLACED: the order whose place was taken */
	__u32 qty;
	__u32 reason; /* the exchange's code: order state, liquidity flag, cancel or reject reason */
	__u32 side; /* ACCEPTED, REPLACED, MODIFIED: the letter */
	__u64 price_e4;
	__u64 match_number;
	__u64 order_ref;
	__u64 name; /* ACCEPTED, REPLACED: of the symbol, as on the wire */
	__u64 exchange_ns;
};

/* OUCH 5.0: exactly the base, or base + 2 + the appendage whose length stands behind the base. */
hft_inline bool appendage_behind(const __u8 *msg, __u32 length, __u32 base)
{
	return length == base || (length >= base + 2 && length == base + 2 + load_be16(msg + base));
}

/* OUCH 5.0: the base ends with the length of the appendage. */
hft_inline bool appendage_inside(const __u8 *msg, __u32 length, __u32 base)
{
	return length >= base && length == base + load_be16(msg + base - 2);
}

hft_inline void ouch50_decode(const __u8 *msg, __u32 length, struct reply *reply)
{
	bool fits;

	switch (msg[0]) {
	case 'S':
		fits = length == 10;
		reply->kind = fits ? REPLY_SYSTEM : REPLY_BAD_LENGTH;
		reply->reason = msg[9];
		reply->exchange_ns = load_be64(msg + 1);
		return;
	case 'A':
		fits = appendage_inside(msg, length, 64);
		reply->kind = REPLY_ACCEPTED;
		reply->side = msg[13];
		reply->qty = load_be32(msg + 14);
		reply->name = load_raw64(msg + 18);
		reply->price_e4 = load_be64(msg + 26);
		reply->order_ref = load_be64(msg + 36);
		reply->reason = msg[47];
		break;
	case 'U':
		fits = appendage_inside(msg, length, 68);
		reply->kind = REPLY_REPLACED;
		reply->other_ref = load_be32(msg + 9);
		reply->side = msg[17];
		reply->qty = load_be32(msg + 18);
		reply->name = load_raw64(msg + 22);
		reply->price_e4 = load_be64(msg + 30);
		reply->order_ref = load_be64(msg + 40);
		reply->reason = msg[51];
		break;
	case 'E':
		fits = appendage_inside(msg, length, 36);
		reply->kind = REPLY_EXECUTED;
		reply->qty = load_be32(msg + 13);
		reply->price_e4 = load_be64(msg + 17);
		reply->reason = msg[25];
		reply->match_number = load_be64(msg + 26);
		break;
	case 'C':
	case 'D':
		fits = appendage_behind(msg, length, msg[0] == 'C' ? 18 : 32);
		reply->kind = REPLY_CANCELED;
		reply->qty = load_be32(msg + 13);
		reply->reason = msg[17];
		break;
	case 'J':
		fits = appendage_behind(msg, length, 29);
		reply->kind = REPLY_REJECTED;
		reply->reason = load_be16(msg + 13);
		break;
	case 'B':
		fits = appendage_behind(msg, length, 36);
		reply->kind = REPLY_BROKEN;
		reply->match_number = load_be64(msg + 13);
		reply->reason = msg[21];
		break;
	case 'P':
	case 'I':
		fits = appendage_behind(msg, length, 13);
		reply->kind = msg[0] == 'P' ? REPLY_CANCEL_PENDING : REPLY_CANCEL_REJECTED;
		break;
	case 'T':
		fits = appendage_behind(msg, length, 30);
		reply->kind = REPLY_PRIORITY;
		reply->price_e4 = load_be64(msg + 13);
		reply->order_ref = load_be64(msg + 22);
		break;
	case 'M':
		fits = appendage_behind(msg, length, 18);
		reply->kind = REPLY_MODIFIED;
		reply->side = msg[13];
		reply->qty = load_be32(msg + 14);
		break;
	case 'R':
		fits = appendage_inside(msg, length, 16);
		reply->kind = REPLY_RESTATED;
		reply->reason = msg[13];
		break;
	default:
		return;
	}
	reply->exchange_ns = load_be64(msg + 1);
	reply->user_ref = load_be32(msg + (msg[0] == 'U' ? 13 : 9));
	if (!fits)
		reply->kind = REPLY_BAD_LENGTH;
}

/* Eight upper-case hexadecimal characters; false if they are anything else. */
hft_inline bool hex8_decode(const __u8 *text, __u32 *value)
{
	__u32 result = 0;

	for (int i = 0; i < 8; i++) {
		__u32 c = text[i];

		if (c >= '0' && c <= '9')
			c -= '0';
		else if (c >= 'A' && c <= 'F')
			c -= 'A' - 10;
		else
			return false;
		result = result << 4 | c;
	}
	*value = result;
	return true;
}

/* The reference that a token carries; false if it is no token that this engine can have sent. */
hft_inline bool token_decode(const __u8 *token, const struct hft_template *template, __u32 *ref)
{
	return !__builtin_memcmp(token, template->msg[HFT_ACTION_ENTER] + UP_OUCH + 1, 6) &&
	       hex8_decode(token + 6, ref);
}

hft_inline void ouch42_decode(const __u8 *msg, __u32 length, const struct hft_template *template, struct reply *reply)
{
	bool fits, readable;

	switch (msg[0]) {
	case 'S':
		fits = length == 10;
		reply->kind = fits ? REPLY_SYSTEM : REPLY_BAD_LENGTH;
		reply->reason = msg[9];
		reply->exchange_ns = load_be64(msg + 1);
		return;
	case 'A':
	case 'U':
		fits = length == (msg[0] == 'A' ? 66 : 80);
		reply->kind = msg[0] == 'A' ? REPLY_ACCEPTED : REPLY_REPLACED;
		reply->side = msg[23];
		reply->qty = load_be32(msg + 24);
		reply->name = load_raw64(msg + 28);
		reply->price_e4 = load_be32(msg + 36);
		reply->order_ref = load_be64(msg + 49);
		reply->reason = msg[64];
		break;
	case 'E':
	case 'G':
		fits = length == (msg[0] == 'E' ? 40 : 45);
		reply->kind = REPLY_EXECUTED;
		reply->qty = load_be32(msg + 23);
		reply->price_e4 = load_be32(msg + 27);
		reply->reason = msg[31];
		reply->match_number = load_be64(msg + 32);
		break;
	case 'C':
	case 'D':
		fits = msg[0] == 'C' ? length == 28 : length == 37 || length == 38;
		reply->kind = REPLY_CANCELED;
		reply->qty = load_be32(msg + 23);
		reply->reason = msg[27];
		break;
	case 'J':
		fits = length == 24;
		reply->kind = REPLY_REJECTED;
		reply->reason = msg[23];
		break;
	case 'B':
		fits = length == 32;
		reply->kind = REPLY_BROKEN;
		reply->match_number = load_be64(msg + 23);
		reply->reason = msg[31];
		break;
	case 'P':
	case 'I':
		fits = length == 23;
		reply->kind = msg[0] == 'P' ? REPLY_CANCEL_PENDING : REPLY_CANCEL_REJECTED;
		break;
	case 'T':
		fits = length == 36;
		reply->kind = REPLY_PRIORITY;
		reply->price_e4 = load_be32(msg + 23);
		reply->order_ref = load_be64(msg + 28);
		break;
	case 'M':
		fits = length == 28;
		reply->kind = REPLY_MODIFIED;
		reply->side = msg[23];
		reply->qty = load_be32(msg + 24);
		break;
	case 'F':
		reply->kind = REPLY_IN_DOUBT;
		return;
	default:
		return;
	}
	reply->exchange_ns = load_be64(msg + 1);
	readable = token_decode(msg + 9, template, &reply->user_ref);
	if (readable && reply->kind == REPLY_REPLACED && fits)
		readable = token_decode(msg + 65, template, &reply->other_ref);
	if (!fits)
		reply->kind = REPLY_BAD_LENGTH;
	else if (!readable)
		reply->kind = REPLY_UNREADABLE_REF;
}

#endif
