#!/usr/bin/env python3
"""make bench HANDSHAKES=1: what a new encrypted connection costs the server, beside TLS 1.3, in turn.

  handshakes.py [--rounds 3] [--secs 2] [--short] [--scheduling pool] [--json FILE]

Server CPU per connection (connect, handshake, one octet each way, close) with every key exchange of tcpcrypt and with resumption, beside OpenSSL's server in C (c/tlsbench.c) and .NET's
SslStream (dotnet/netbench), with ECDSA and RSA-2048 certificates and resumed; then the ratios and the goals. --short: one round, the busy server only.

Two loads. Busy: 32 connections at a time (8 clients of the C server, which serves one after another). One at a time: the server sleeps and wakes several times per connection, and that costs more than it
looks like on virtual processors. Compare within a load. All .NET processes run without tiered compilation, ours too; "SslStream, as it comes" is with it and still compiles while it is measured.
Bulk, in the same run: one long encrypted transfer between two of our stacks beside a plain one, and TLS beside plain over the kernel's loopback; CPU per GB of either side.
Floors, in the same run: the primitives alone, and all of src/Crypt's work in memory; a busy server's plain connection comes on top of either.
The command fails when a goal against the C server is missed under the busy load.
"""
import argparse, json, os, shlex, subprocess, sys, time
import run

NS = run.PX + "h"
SERVER_TUN, CLIENT_TUN = run.PX + "t", run.PX + "u"
OURS = f"{run.B}/PeerStack/PeerStack"
# kind: (the server's --tcpcrypt, connections)
KINDS = {"plain": ("p256", 4000), "p256": ("p256", 3200), "p521": ("p521", 640), "rsa-2048": ("rsa", 3200), "rsa-4096": ("rsa", 3200), "resume": ("p256", 4000)}
TLS = {"ecdsa": "ecdsa-default", "rsa": "rsa-default", "resume": "ecdsa-resume"}    # tlsbench's names and netbench's
NAMES = {"plain": "tcpcrypt off", "p256": "ECDHE P-256", "p521": "ECDHE P-521", "rsa-2048": "OAEP-RSA-2048 as S", "rsa-4096": "OAEP-RSA-4096 as S", "resume": "resumption",
         "ecdsa": "TLS 1.3, ECDSA P-256", "rsa": "TLS 1.3, RSA-2048", "tls-resume": "TLS 1.3, resumed"}
BULK = {"bulk-plain": "ours, tcpcrypt off", "bulk": "ours, AES-128 and HMAC-SHA-256", "tls-plain": "kernel's loopback, plain", "tls": "kernel's loopback, OpenSSL's AES-128-GCM"}
LOADS = {"busy": "32 at a time", "single": "one at a time"}
# (ours, theirs, of OpenSSL in C, of SslStream): our server may take one part in so many
GOALS = [("p256", "ecdsa", 3, 11), ("rsa-4096", "rsa", 8, 18), ("resume", "resume", 6, 16)]


def up():
    down()
    run.sh(f"ip netns add {NS}; ip -n {NS} link set lo up")
    run.sysctl(NS, net__ipv4__ip_forward=1, net__ipv4__conf__all__rp_filter=0, net__ipv4__conf__default__rp_filter=0)
    for device, address in ((SERVER_TUN, "10.77.0.1/24"), (CLIENT_TUN, "10.77.1.1/24")):
        run.sh(f"ip -n {NS} tuntap add dev {device} mode tun; ip -n {NS} link set {device} mtu 1500 txqueuelen 1000 up; ip -n {NS} addr add {address} dev {device}")


def down():
    if os.path.exists(f"/var/run/netns/{NS}"):
        run.sh(f"ip netns del {NS}", False)


def last_line(command, timeout=120, **more):
    """The JSON that a command prints last."""
    done = subprocess.run(shlex.split(command), capture_output=True, text=True, timeout=timeout, **more)
    if done.returncode or not done.stdout.strip():
        raise RuntimeError(f"{command}: {(done.stderr or 'no output').strip()[-300:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def ours(kind, load, o):
    exchange, count = KINDS[kind]
    parallel = 32 if load == "busy" else 1
    count = count if load == "busy" else max(count // 4, 160)
    server = run.start(f"{OURS} {SERVER_TUN} 10.77.0.2/24 close --no-warm-up --tcpcrypt {exchange} --addresses {parallel} --scheduling {o.scheduling}", NS, "")
    try:
        return last_line(f"ip netns exec {NS} {OURS} load {CLIENT_TUN} 10.77.1.2/24 10.77.0.2 {kind} {count} {parallel} {server.pid}")
    finally:
        run.stop(server)


def openssl(kind, load, o):
    return last_line(f"{run.B}/tlsbench net {kind} {o.secs} X25519 {8 if load == 'busy' else 1}")


def sslstream(kind, load, o, tiered="0"):
    return last_line(f"{run.B}/netbench/netbench conns {TLS[kind]} {o.secs} {32 if load == 'busy' else 1}", env=dict(os.environ, DOTNET_TieredCompilation=tiered))


def bulk(kind, o):
    """One long transfer: between two of our stacks, or by the C server's TLS over the kernel's TCP."""
    if kind.startswith("tls"):
        return last_line(f"{run.B}/tlsbench bulk {'plain' if kind == 'tls-plain' else 'rsa'} {o.secs}")
    server = run.start(f"{OURS} {SERVER_TUN} 10.77.0.2/24 sink --no-warm-up --tcpcrypt p256 --scheduling {o.scheduling}", NS, "")
    try:
        return last_line(f"ip netns exec {NS} {OURS} load {CLIENT_TUN} 10.77.1.2/24 10.77.0.2 {kind} {int(o.secs * 600)} 1 {server.pid}")
    finally:
        run.stop(server)


def figure(results, who, kind, load, column="server_us"):
    values = [r[column] for r in results if (r["who"], r["kind"], r["load"]) == (who, kind, load)]
    return run.med(values) if values else None


def spread(results, who, kind, load):
    values = [r["server_us"] for r in results if (r["who"], r["kind"], r["load"]) == (who, kind, load)]
    return f"{run.fmt(min(values))}..{run.fmt(max(values))}"


def table(results, load):
    print(f"\n## handshakes, {LOADS[load]} (server CPU per connection, lower is better)")
    print("| server | connection | server us | min..max | client us | connections/s | of C's ECDSA | primitives alone | src/Crypt in memory | + plain connection |\n|---|---|---|---|---|---|---|---|---|---|")
    base, plain = figure(results, "openssl", "ecdsa", load), figure(results, "ours", "plain", "busy")
    for who, kinds in (("ours", KINDS), ("openssl", TLS), ("sslstream", TLS), ("sslstream, as it comes", TLS)):
        for kind in kinds:
            us = figure(results, who, kind, load)
            if us is None:
                continue
            floors = "| | "
            if who == "ours" and kind != "plain":
                memory = figure(results, "floor", kind, "", "handshake_us")
                floors = f"{run.fmt(figure(results, 'floor', kind, '', 'primitives_us'))} | {run.fmt(memory)} | {run.fmt(memory + plain)}"
            elif who == "openssl":
                floors = f"| {run.fmt(figure(results, 'floor', 'tls-' + kind, ''))} | "
            name = NAMES["tls-resume" if who != "ours" and kind == "resume" else kind]
            print(f"| {who} | {name} | {run.fmt(us)} | {spread(results, who, kind, load)} | {run.fmt(figure(results, who, kind, load, 'client_us'))} | "
                  f"{run.fmt(figure(results, who, kind, load, 'conn_s'))} | {f'{us / base:.2f}' if base else ''} | {floors} |")


def bulk_table(results):
    print("\n## bulk (CPU s/GB, lower is better)\n| transfer | sender | receiver | both | Gbit/s |\n|---|---|---|---|---|")
    for kind, name in BULK.items():
        values = [r for r in results if r["who"] == "bulk" and r["kind"] == kind]
        if values:
            sender, receiver = (run.med([r[side + "_cpu_s_per_gb"] for r in values]) for side in ("sender", "receiver"))
            print(f"| {name} | {run.fmt(sender)} | {run.fmt(receiver)} | {run.fmt(sender + receiver)} | {run.fmt(run.med([r['gbit_s'] for r in values]))} |")


def goals(results, loads):
    """A line per goal; true when none against the C server is missed."""
    good = True
    print("\n## goals: our server's CPU per new connection\n| load | ours | us | floor | peer | us | ratio | goal | |\n|---|---|---|---|---|---|---|---|---|")
    plain = figure(results, "ours", "plain", "busy")
    for load in loads:
        for kind, theirs, of_c, of_dotnet in GOALS:
            for who, part in (("openssl", of_c), ("sslstream", of_dotnet), ("sslstream, as it comes", of_dotnet)):
                mine, peer = figure(results, "ours", kind, load), figure(results, who, theirs, load)
                if mine is None or peer is None:
                    continue
                floor = figure(results, "floor", kind, "", "primitives_us") + plain
                verdict = "reached" if mine <= peer / part else "below the floor" if floor > peer / part else "MISSED"
                good = good and (verdict != "MISSED" or load != "busy" or who != "openssl")
                print(f"| {LOADS[load]} | {NAMES[kind]} | {run.fmt(mine)} | {run.fmt(floor)} | {who}, {NAMES['tls-resume' if theirs == 'resume' else theirs]} | {run.fmt(peer)} | 1/{peer / mine:.1f} | 1/{part} | {verdict} |")
    return good


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--rounds", type=int, default=3)
    a.add_argument("--secs", type=float, default=2)
    a.add_argument("--short", action="store_true")
    a.add_argument("--scheduling", default="pool", choices=("pool", "inline"))
    a.add_argument("--json")
    o = a.parse_args()
    loads = ["busy"] if o.short else list(LOADS)
    runs = [(kind, "ours", load, ours) for load in loads for kind in KINDS]
    runs += [(kind, "openssl", load, openssl) for load in loads for kind in TLS]
    runs += [(kind, "sslstream", load, sslstream) for load in loads for kind in TLS]
    if not o.short:
        runs += [(kind, "sslstream, as it comes", "single", lambda k, l, o: sslstream(k, l, o, "1")) for kind in TLS]
    results, out = [], open(o.json, "a") if o.json else None

    def add(d, **more):
        d.update(time=time.strftime("%Y-%m-%dT%H:%M:%S"), **more)
        results.append(d)
        if out:
            out.write(json.dumps(d) + "\n")
            out.flush()

    try:
        up()
        for r in range(1 if o.short else o.rounds):
            for line in subprocess.run([OURS, "floor"], capture_output=True, text=True, check=True, timeout=120).stdout.splitlines():
                add(json.loads(line), who="floor", load="", round=r)
            for kind in TLS:
                add(last_line(f"{run.B}/tlsbench mem {kind} 300"), who="floor", kind="tls-" + kind, load="", round=r)
            for kind in BULK:
                try:
                    add(bulk(kind, o), who="bulk", kind=kind, load="", round=r)
                except (RuntimeError, subprocess.TimeoutExpired) as e:
                    print(f"# bulk {kind} round {r}: {e}", file=sys.stderr)
            for kind, who, load, measure in runs:
                try:
                    add(measure(kind, load, o), who=who, kind=kind, load=load, round=r)
                except (RuntimeError, subprocess.TimeoutExpired) as e:
                    print(f"# {who} {kind} {load} round {r}: {e}", file=sys.stderr)
    finally:
        down()
    for load in loads:
        table(results, load)
    bulk_table(results)
    sys.exit(0 if goals(results, loads) else 1)


if __name__ == "__main__":
    main()
