#!/usr/bin/env bash
# make run: the demonstration, in a network namespace of its own where that can be had, else over a link in memory. Ends by itself and leaves nothing behind:
# the namespace goes with its last process, the device with the descriptor.
cd "$(dirname "$0")/.." || exit 1
eng/sdk.sh || exit 1
eng/need.sh ip ping curl tcpdump unshare python3
echo "building"
eng/build.sh eng/Demo/Demo.csproj || exit 1
demo=$PWD/eng/Demo/bin/${CONFIG:-Release}/net10.0/Demo.dll
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
dotnet=$(command -v dotnet)

# Can a TUN device be made under this wrapper? The last line of the attempt is the reason why not.
works() { reason=$("$@" sh -c 'ip link set lo up; ip tuntap add dev tcdemo0 mode tun && ip tuntap del dev tcdemo0 mode tun' 2>&1) && return 0; reason=$(tail -1 <<<"$reason"); return 1; }
in_container() { [ -e /.dockerenv ] || [ -e /run/.containerenv ] || grep -qsE 'docker|containerd|kubepods|lxc' /proc/1/cgroup; }

wrapper=()
if [ ! -e /dev/net/tun ]; then
    reason="there is no /dev/net/tun here (sudo modprobe tun; in a container: --device /dev/net/tun)"
elif ! command -v unshare >/dev/null || ! command -v ip >/dev/null; then
    reason="unshare or ip is missing (util-linux, iproute2)"
elif [ "$(id -u)" -eq 0 ] && works unshare -n; then
    wrapper=(unshare -n)
    where="a network namespace of its own (root)"
elif works unshare -Urn; then
    wrapper=(unshare -Urn)
    where="a network namespace of its own (inside a user namespace: no privilege was needed)"
elif sudo -n true 2>/dev/null && works sudo -n env "PATH=$PATH" unshare -n; then
    wrapper=(sudo -n env "PATH=$PATH" ${DOTNET_ROOT:+"DOTNET_ROOT=$DOTNET_ROOT"} unshare -n)
    where="a network namespace of its own (sudo)"
elif in_container && works env; then
    wrapper=(env)
    where="this container's network namespace"
fi

if [ ${#wrapper[@]} -gt 0 ]; then
    exec timeout -k 5 90 "${wrapper[@]}" sh -c 'ip link set lo up 2>/dev/null; exec "$@"' demo "$dotnet" "$demo" tun "$where"
fi

exec timeout -k 5 90 "$dotnet" "$demo" memory "${reason:-no way to a TUN device was found}"
