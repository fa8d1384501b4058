"""What BCC takes for a program of ten lines; run by the system's Python, which has it. One JSON object on stdout."""

import json
import sys
import time

TEXT = r"""
#include <uapi/linux/bpf.h>
#include <linux/if_ether.h>
BPF_ARRAY(frames, u64, 256);
int count(struct xdp_md *ctx) {
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	u32 zero = 0;
	u64 *value;

	if (data + sizeof(struct ethhdr) > end)
		return XDP_PASS;
	value = frames.lookup(&zero);
	if (value)
		*value += 1;
	return XDP_PASS;
}
"""

began = time.monotonic()
try:
    from bcc import BPF
except ImportError as error:
    sys.exit(f"python3-bpfcc is not installed ({error})")
imported = time.monotonic()
try:
    program = BPF(text=TEXT)
except Exception as error:  # it has none of its own
    sys.exit(f"{error}: are the headers of the running kernel there (BCC_KERNEL_SOURCE)?")
compiled = time.monotonic()
program.load_func("count", BPF.XDP)
loaded = time.monotonic()
print(json.dumps({"import_s": imported - began, "compile_s": compiled - imported, "load_s": loaded - compiled}))
