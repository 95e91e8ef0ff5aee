#!/usr/bin/env bash
# Builds the peers once (two minutes) and our side each time, then runs tests/Benchmarks/Peers/bench.py.
#   ROUNDS=3 SECS=2 ONLY=bulk-in,ping1 JSON=FILE
#   WAN=1: goodput beside the kernel's through delay, loss and reordering, and fairness, only (wan.py; ROUNDS=9 SECS=8); BESIDE=gvisor,lwip: these stacks take their turns too
#   HANDSHAKES=1: new encrypted connections beside TLS only (handshakes.py); HANDSHAKES=0: without; otherwise a short round of it at the end
cd "$(dirname "$0")/.." || exit 1
eng/sdk.sh || exit 1
export PEERS_BUILD=${PEERS_BUILD:-/tmp/peers}
peers=tests/Benchmarks/Peers
if [ "$(id -u)" -ne 0 ]; then
    echo "the lab needs root (network namespaces, Debian packages): sudo make bench" >&2
    exit 1
fi

declare -A product=([tools]=load [gvisor]=gvstack [lwip]=lwipstack [dotnet]=netbench/netbench)
parts="tools gvisor lwip dotnet"
case ${HANDSHAKES:-} in 0) parts="tools gvisor lwip" ;; 1) parts="tools dotnet" ;; esac
[ "${WAN:-}" = 1 ] && parts="tools ${BESIDE:+${BESIDE//,/ }}"
# A build from older sources does not count.
[ "$peers/c/tlsbench.c" -nt "$PEERS_BUILD/tlsbench" ] && rm -f "$PEERS_BUILD/load"
[ "$peers/dotnet/netbench/Program.cs" -nt "$PEERS_BUILD/netbench/netbench.dll" ] && rm -rf "$PEERS_BUILD/netbench"
for part in $parts; do
    if [ ! -x "$PEERS_BUILD/${product[$part]}" ]; then
        echo "building the peer's part \"$part\" into $PEERS_BUILD (once)"
        "$peers/setup.sh" "$part" || { [ "$part" = tools ] && exit 1; echo "going on without $part" >&2; }
    fi
done

"$peers/setup.sh" ours || exit 1
if [ "${WAN:-}" = 1 ]; then
    exec python3 -B "$peers/wan.py" --rounds "${ROUNDS:-9}" --secs "${SECS:-8}" ${ONLY:+--only "$ONLY"} ${BESIDE:+--beside "$BESIDE"} ${JSON:+--json "$JSON"}
fi
if [ "${HANDSHAKES:-}" = 1 ]; then
    exec python3 -B "$peers/handshakes.py" --rounds "${ROUNDS:-3}" --secs "${SECS:-2}" ${JSON:+--json "$JSON"}
fi

python3 -B "$peers/bench.py" --rounds "${ROUNDS:-3}" --secs "${SECS:-2}" ${ONLY:+--only "$ONLY"} ${JSON:+--json "$JSON"}
result=$?
if [ -z "${ONLY:-}" ] && [ "${HANDSHAKES:-}" != 0 ]; then
    # One short round is too noisy to judge by; HANDSHAKES=1 does.
    python3 -B "$peers/handshakes.py" --short --secs 1 ${JSON:+--json "$JSON"}
fi
exit "$result"
