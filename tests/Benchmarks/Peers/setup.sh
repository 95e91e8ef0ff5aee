#!/bin/sh
# Installs and builds the peers, once. Needs root (Debian packages) and the .NET 10 SDK. Everything built goes to $PEERS_BUILD.
#   setup.sh [part...]      parts: tools gvisor lwip dotnet ours (default: all); PEERS_NO_APT=1 skips the installation
set -eu
here=$(cd "$(dirname "$0")" && pwd)
B=${PEERS_BUILD:-/tmp/peers}
mkdir -p "$B"
parts=${*:-tools gvisor lwip dotnet ours}
has() { case " $parts " in *" $1 "*) return 0;; esac; return 1; }
pkgs="gcc libc6-dev libssl-dev liburing-dev iproute2 iperf3 openssl python3 procps util-linux dpkg-dev"
if has gvisor; then pkgs="$pkgs golang-go golang-gvisor-gvisor-dev"; fi
if [ -z "${PEERS_NO_APT:-}" ] && [ "$parts" != ours ]; then
    DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $pkgs >"$B/apt.log" 2>&1 ||
        { apt-get update >>"$B/apt.log" 2>&1; DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $pkgs >>"$B/apt.log" 2>&1; }
fi
if has tools; then
    for t in srv load nullstack; do gcc -O2 -Wall -Wno-stringop-truncation -Wno-maybe-uninitialized -o "$B/$t" "$here/c/$t.c"; done
    gcc -O2 -Wall -Wno-stringop-truncation -pthread -o "$B/link" "$here/c/link.c"
    gcc -O2 -Wall -o "$B/tlsbench" "$here/c/tlsbench.c" -lssl -lcrypto
    gcc -O2 -Wall -o "$B/tunprobe" "$here/c/tunprobe.c" -luring
    echo "tools: built"
fi
if has gvisor; then
    GO111MODULE=off GOFLAGS= GOPATH=/usr/share/gocode GOCACHE="$B/gocache" go build -o "$B/gvstack" "$here/gvisor/main.go"
    echo "gvisor: built"
fi
if has lwip; then
    # Debian's library is built with 64 KB windows, so the package's source is compiled with our lwipopts.h.
    # The source comes through apt from the same mirrors that this machine uses for binaries.
    L="$B/lwip-src"
    if [ -z "$(ls -d "$L"/lwip-*/src 2>/dev/null)" ]; then
        mkdir -p "$L/parts" "$L/lists/partial"
        for f in /etc/apt/sources.list.d/*.sources; do [ -e "$f" ] && grep -q '^URIs:.*debian' "$f" && sed 's/^Types:.*/Types: deb-src/' "$f" >"$L/parts/$(basename "$f")"; done
        [ -e /etc/apt/sources.list ] && sed -n 's/^deb \(.*debian.* main.*\)$/deb-src \1/p' /etc/apt/sources.list >"$L/parts/main.list"
        apt="apt-get -o Dir::Etc::sourcelist=/nonexistent -o Dir::Etc::sourceparts=$L/parts -o Dir::State::lists=$L/lists -o Acquire::Languages=none -o APT::Sandbox::User=root"
        $apt update >"$B/apt-src.log" 2>&1
        (cd "$L" && $apt source lwip >>"$B/apt-src.log" 2>&1)
    fi
    S=$(ls -d "$L"/lwip-*/src | tail -1)
    gcc -O2 -I"$here/lwip/include" -I"$S/include" -o "$B/lwipstack" "$here/lwip/main.c" "$S"/core/*.c "$S"/core/ipv4/*.c
    echo "lwip: built"
fi
if has dotnet; then
    for p in netbench cryptobench tunbench; do
        dotnet publish "$here/dotnet/$p" -c Release -o "$B/$p" --artifacts-path "$B/dotnet-artifacts" -v q -clp:ErrorsOnly >"$B/$p.log" 2>&1 || { cat "$B/$p.log"; exit 1; }
    done
    echo "dotnet: built"
fi
if has ours; then
    dotnet publish "$here/../PeerStack" -c Release -o "$B/PeerStack" --artifacts-path "$B/dotnet-artifacts" -v q -clp:ErrorsOnly >"$B/PeerStack.log" 2>&1 || { cat "$B/PeerStack.log"; exit 1; }
    echo "ours: built"
fi
echo "ready in $B; now: $here/run.sh list"
