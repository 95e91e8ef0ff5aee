#!/usr/bin/env bash
# need.sh PROGRAM...: installs the Debian packages of the programs that are missing, as root or by sudo, quietly.
# A Python package is asked for as python3-NAME, and is there when python3 can import NAME.
# Never fails: what cannot be installed is named, and whoever needs it skips.
declare -A package=(
    [tcpdump]=tcpdump [tshark]=tshark [iperf3]=iperf3 [nmap]=nmap [curl]=curl [ip]=iproute2 [ping]=iputils-ping [ps]=procps [sysctl]=procps
    [sshd]=openssh-server [ssh]=openssh-client [ssh-keygen]=openssh-client [python3]=python3 [unshare]=util-linux [nc]=netcat-openbsd
    [ethtool]=ethtool [iptables]=iptables [tc]=iproute2
)
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
is_there() {
    case $1 in
        python3-*) /usr/bin/python3 -c "import ${1#python3-}" 2>/dev/null || python3 -c "import ${1#python3-}" 2>/dev/null ;;
        *) command -v "$1" >/dev/null ;;
    esac
}
missing=() packages=()
for program in "$@"; do
    if ! is_there "$program"; then
        missing+=("$program")
        packages+=("${package[$program]:-$program}")
    fi
done

if [ ${#missing[@]} -eq 0 ]; then
    exit 0
fi

as_root=()
if [ "$(id -u)" -ne 0 ]; then
    as_root=(sudo -n)
    if ! { command -v sudo && sudo -n true; } >/dev/null 2>&1; then
        echo "missing: ${missing[*]} (not root and no sudo without a password: install ${packages[*]}; what needs them is skipped)" >&2
        exit 0
    fi
fi

if ! command -v apt-get >/dev/null; then
    echo "missing: ${missing[*]} (no apt-get here: install them by hand; what needs them is skipped)" >&2
    exit 0
fi

mapfile -t packages < <(printf '%s\n' "${packages[@]}" | sort -u)
echo "installing: ${packages[*]}" >&2
log=$(mktemp)
policy=/usr/sbin/policy-rc.d
# A package such as openssh-server must not start its service on this machine; policy-rc.d is Debian's way to say so.
if [ -d /usr/sbin ] && [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$policy" >/dev/null && "${as_root[@]}" chmod 755 "$policy"
    trap '"${as_root[@]}" rm -f "$policy"' EXIT
fi

install() {
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive timeout 300 apt-get install -y -qq --no-install-recommends -o DPkg::Lock::Timeout=120 "${packages[@]}" >>"$log" 2>&1
}
install || { "${as_root[@]}" timeout 120 apt-get update -qq >>"$log" 2>&1; install; } ||
    echo "apt-get could not install ${packages[*]} ($(grep -m1 '^E:' "$log" || echo 'see above')); what needs them is skipped" >&2
rm -f "$log"
exit 0
