#!/bin/sh
# Makes sure that the tools and headers of a build are there; installs with apt only what is missing.
# PYTHON names the interpreter whose venv and headers are needed. `deps.sh matrix`, `deps.sh browser`: what the kernel
# matrix and the tests of the web face need instead.
set -eu
PATH=$PATH:/usr/sbin:/sbin
python=${PYTHON:-python3}
missing=

need() { # package, test command...
	package=$1
	shift
	"$@" >/dev/null 2>&1 || missing="$missing $package"
}

header() {
	printf '#include <stddef.h>\n#include <%s>\n' "$1" | gcc -E -x c -
}

static() { # program: without a loader, as a guest has no libraries
	command -v "$1" && ! head -c 4096 "$(command -v "$1")" | grep -q ld-linux
}

build() {
	need gcc command -v gcc
	need clang-19 command -v clang-19
	need clang-format-19 command -v clang-format-19
	need bpftool command -v bpftool
	need iproute2 command -v ip
	need ethtool command -v ethtool
	need tshark command -v tshark
	need systemd command -v systemd-analyze
	need libbpf-dev header bpf/libbpf.h
	need libelf-dev header libelf.h
	need zlib1g-dev header zlib.h
	need liburing-dev header liburing.h
	need python3-venv "$python" -c 'import ensurepip, venv'
	need python3-dev "$python" -c 'import os, sysconfig; os.stat(sysconfig.get_path("include") + "/Python.h")'
}

matrix() {
	need qemu-system-x86 command -v qemu-system-x86_64
	need busybox-static static busybox
	need zstd command -v zstd
	need gcc command -v gcc
	need libc6-dev header stdlib.h
	need libbpf-dev header bpf/libbpf.h
	need libelf-dev header libelf.h
	need zlib1g-dev header zlib.h
}

browser() {
	need chromium command -v chromium
	need chromium-driver command -v chromedriver
}

case ${1-build} in
build | matrix | browser) "${1-build}" ;;
*)
	echo "usage: deps.sh [build|matrix|browser]" >&2
	exit 2
	;;
esac
[ -n "$missing" ] || exit 0
echo "missing:$missing" >&2
if ! command -v apt-get >/dev/null; then
	echo "there is no apt-get here: install the counterparts of these Debian packages and run make again" >&2
	exit 1
fi
sudo=
if [ "$(id -u)" != 0 ]; then
	sudo=sudo
	command -v sudo >/dev/null || {
		echo "run as root: apt-get install --yes --no-install-recommends$missing" >&2
		exit 1
	}
fi
export DEBIAN_FRONTEND=noninteractive
# shellcheck disable=SC2086 # a list of names
$sudo env DEBIAN_FRONTEND=noninteractive sh -c 'apt-get update -qq && apt-get install --yes -qq --no-install-recommends "$@"' apt $missing >&2 || {
	echo "apt-get could not install:$missing (clang-19 comes from Debian 12 or newer, or from apt.llvm.org)" >&2
	exit 1
}
