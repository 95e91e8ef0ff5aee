#!/usr/bin/env bash
# Builds the peers once (two minutes) and our side each time, then runs tests/Benchmarks/Peers/bench.py.
#   ROUNDS=3 SECS=2 ONLY=bulk-in,ping1 JSON=FILE
cd "$(dirname "$0")/.." || exit 1
eng/sdk.sh || exit 1
export PEERS_BUILD=${PEERS_BUILD:-/tmp/peers}
peers=tests/Benchmarks/Peers
if [ "$(id -u)" -ne 0 ]; then
    echo "the lab needs root (network namespaces, Debian packages): sudo make bench" >&2
    exit 1
fi

declare -A product=([tools]=load [gvisor]=gvstack [lwip]=lwipstack)
for part in tools gvisor lwip; do
    if [ ! -x "$PEERS_BUILD/${product[$part]}" ]; then
        echo "building the peer's part \"$part\" into $PEERS_BUILD (once)"
        "$peers/setup.sh" "$part" || { [ "$part" = tools ] && exit 1; echo "going on without $part" >&2; }
    fi
done

"$peers/setup.sh" ours || exit 1
exec python3 -B "$peers/bench.py" --rounds "${ROUNDS:-3}" --secs "${SECS:-2}" ${ONLY:+--only "$ONLY"} ${JSON:+--json "$JSON"}
