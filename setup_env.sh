#!/bin/sh
# Raises the lab (a namespace for the exchange, a veth pair to it) or takes it down: ./setup_env.sh [up|down]
set -eu
action=${1:-up}
case $action in
up | down) ;;
*)
	echo "usage: $0 [up|down]" >&2
	exit 2
	;;
esac
here=$(cd "$(dirname "$0")" && pwd)
command=$here/.venv/bin/turbo-hft
if [ ! -x "$command" ]; then
	echo "$0: turbo-hft is not built yet: run make first" >&2
	exit 1
fi
exec "$command" lab "$action"
