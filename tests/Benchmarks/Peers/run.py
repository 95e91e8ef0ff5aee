#!/usr/bin/env python3
"""Peer scenarios: every stack faces the same client (the kernel's TCP, load.c) in turn, A B A B ...

  run.sh SCENARIO[,SCENARIO...] [--stacks A,B,...] [--rounds 5] [--secs N] [--json FILE]
                                [--stack NAME=CMD]... [--cc cubic] [--txqueuelen 1000] [--cpus 0,1] [--mtu 1500]
  run.sh all            the TCP scenarios, one after another
  run.sh list           scenarios and stacks
  run.sh report FILE... the tables again, from files written with --json
  run.sh tls | sslstream | crypto | tunraw      see micro.sh

--stack adds a stack of yours: CMD is run in the namespace that has the TUN device, with {tun}, {addr} (address/prefix)
and {mode} filled in, and must print a line READY when it serves ports 5001 sink, 5002 source, 5003 echo, 5004 close.
A name that ends in "@link" puts CMD behind no TUN of its own but on the kernel side of a bridged TUN pair (see README.md).
Needs root. Makes namespaces <prefix>c and <prefix>s (PEERS_PREFIX, default "peer") and deletes them when done.
"""
import argparse, json, os, shlex, signal, statistics, subprocess, sys, tempfile, time

B = os.environ.get("PEERS_BUILD", "/tmp/peers")
PX = os.environ.get("PEERS_PREFIX", "peer")
C, S = PX + "c", PX + "s"

# name: (topology, command). Topologies: tun = the stack owns the TUN device in the client's namespace;
# veth = kernel server behind a veth pair; link / linkv = kernel server behind two TUN devices and link.c (linkv: with offload).
STACKS = {
    "kernel-veth": ("veth", f"{B}/srv {{ip}}"),
    "kernel-link": ("link", f"{B}/srv {{ip}}"),
    "kernel-linkv": ("linkv", f"{B}/srv {{ip}}"),
    "gvisor": ("tun", f"{B}/gvstack {{tun}} {{addr}} {{mode}} -link fdbased"),
    "gvisor-gso": ("tun", f"{B}/gvstack {{tun}} {{addr}} {{mode}} -gso"),
    "gvisor-own": ("tun", f"{B}/gvstack {{tun}} {{addr}} {{mode}} -link own"),
    "null-gso": ("tun", f"{B}/nullstack {{tun}} {{addr}} {{mode}} -gso"),
    "null": ("tun", f"{B}/nullstack {{tun}} {{addr}} {{mode}}"),
    "lwip": ("tun", f"{B}/lwipstack {{tun}} {{addr}} {{mode}}"),
    "dotnet-veth": ("veth", f"{B}/netbench/netbench stack {{ip}}"),
    "dotnet-link": ("link", f"{B}/netbench/netbench stack {{ip}}"),
    "dotnet-linkv": ("linkv", f"{B}/netbench/netbench stack {{ip}}"),
    # ours: tests/Benchmarks/PeerStack, published by setup.sh's part "ours"
    "ours": ("tun", f"{B}/PeerStack/PeerStack {{tun}} {{addr}} {{mode}}"),
    "ours-inline": ("tun", f"{B}/PeerStack/PeerStack {{tun}} {{addr}} {{mode}} --scheduling inline"),
    "ours-nooffload": ("tun", f"{B}/PeerStack/PeerStack {{tun}} {{addr}} {{mode}} --no-offload"),
    "ours-inline-nooffload": ("tun", f"{B}/PeerStack/PeerStack {{tun}} {{addr}} {{mode}} --scheduling inline --no-offload"),
}
DEFAULT = "kernel-veth,kernel-linkv,kernel-link,null-gso,null,gvisor-gso,gvisor,lwip"
PATHS = {  # impaired paths
    "wan": "--delay-us 10000 --rate 100m --queue 200",
    "loss01": "--delay-us 10000 --rate 100m --queue 200 --loss-ab {a} --loss-ba {b} --p 0.001",
    "loss1": "--delay-us 10000 --rate 100m --queue 200 --loss-ab {a} --loss-ba {b} --p 0.01",
    "reorder": "--delay-us 10000 --rate 100m --queue 200 --reorder 0.02:3000",
}
# scenario: (load arguments after the address, seconds, path, mode, headline, better)
SC = {
    "bulk-in": ("bulk-in {ip} {secs} 1", 5, None, "sink", "gbit_s", "high"),
    "bulk-out": ("bulk-out {ip} {secs} 1", 5, None, "source", "gbit_s", "high"),
    "ping1": ("pingpong {ip} {secs} 1", 3, None, "echo", "p50_us", "low"),
    "ping1k": ("pingpong {ip} {secs} 1024", 3, None, "echo", "p50_us", "low"),
    "conns": ("conns {ip} {secs} 32 --max 30000", 3, None, "close", "conn_s", "high"),
    "conns1": ("conns {ip} {secs} 1 --max 30000", 3, None, "close", "conn_s", "high"),
    "many-in": ("bulk-in {ip} {secs} 1000", 6, None, "sink", "gbit_s", "high"),
    "many-out": ("bulk-out {ip} {secs} 1000", 6, None, "source", "gbit_s", "high"),
}
for p in PATHS:
    SC[p + "-in"] = ("bulk-in {ip} {secs} 1", 15, p, "sink", "gbit_s", "high")
    SC[p + "-out"] = ("bulk-out {ip} {secs} 1", 15, p, "source", "gbit_s", "high")

def sh(cmd, check=True):
    r = subprocess.run(cmd, shell=True, capture_output=True, text=True)
    if check and r.returncode:
        sys.exit(f"{cmd}\n{r.stderr}")
    return r.stdout

def down():
    for n in (C, S):
        if os.path.exists(f"/var/run/netns/{n}"):
            sh(f"ip netns del {n}", False)

def sysctl(ns, **kv):
    for k, v in kv.items():
        sh(f"ip netns exec {ns} sysctl -qw {k.replace('__', '.')}='{v}'", False)

def up(topo, o, path):
    down()
    os.environ["PEERS_CC"] = o.cc    # srv and load set it themselves: a namespace may not be allowed to change its default
    for n in (C, S):
        sh(f"ip netns add {n}; ip -n {n} link set lo up")
        sysctl(n, net__ipv4__tcp_rmem="4096 131072 33554432", net__ipv4__tcp_wmem="4096 65536 16777216",
               net__ipv4__ip_local_port_range="1100 64999", net__ipv4__tcp_no_metrics_save=1, net__ipv4__conf__all__rp_filter=0,
               net__ipv4__conf__default__rp_filter=0, net__core__somaxconn=8192, net__ipv4__tcp_max_syn_backlog=8192)
    def tun(ns, dev, addr, peer=None):
        sh(f"ip -n {ns} tuntap add dev {dev} mode tun; ip -n {ns} link set {dev} mtu {o.mtu} txqueuelen {o.txqueuelen} up; ip -n {ns} addr add {addr} dev {dev}")
    if topo == "veth":
        sh(f"ip -n {C} link add {PX}v0 mtu {o.mtu} type veth peer name {PX}v1 mtu {o.mtu} netns {S}")
        sh(f"ip -n {C} addr add 10.77.0.1/24 dev {PX}v0; ip -n {S} addr add 10.77.0.2/24 dev {PX}v1; ip -n {C} link set {PX}v0 up; ip -n {S} link set {PX}v1 up")
        return S, "10.77.0.2", None, None
    if topo in ("link", "linkv"):
        tun(C, PX + "a", "10.77.0.1/24"); tun(S, PX + "b", "10.77.0.2/24")
        return S, "10.77.0.2", None, "--vnet" if topo == "linkv" and not path else ""
    if path:
        tun(C, PX + "a", "10.77.0.1/24"); tun(S, PX + "b", "10.77.0.3/24")
        sysctl(S, net__ipv4__ip_forward=1)
        tun(S, PX + "t", "10.77.1.1/24"); sh(f"ip -n {C} route add 10.77.1.0/24 dev {PX}a")
        return S, "10.77.1.2", PX + "t", ""
    tun(C, PX + "t", "10.77.0.1/24")
    return C, "10.77.0.2", PX + "t", None

def start(cmd, ns, cpus):
    pre = ["ip", "netns", "exec", ns] if ns else []
    if cpus: pre = ["taskset", "-c", cpus] + pre
    err = tempfile.TemporaryFile()
    p = subprocess.Popen(pre + shlex.split(cmd), stdout=subprocess.PIPE, stderr=err, text=True)
    p.err = err; t = time.time()
    for line in p.stdout:
        if line.startswith("READY"): return p
    p.wait(); err.seek(0)
    raise RuntimeError(f"{cmd}: no READY ({time.time()-t:.1f} s): {err.read().decode(errors='replace')[-400:]}")

def stop(p):
    if p.poll() is None:
        p.send_signal(signal.SIGTERM)
        try: p.wait(3)
        except subprocess.TimeoutExpired: p.kill(); p.wait()
    return p.stdout.read()

def one(name, sc, o, rnd):
    topo, cmd = STACKS[name]; args, secs, path, mode, head, _ = SC[sc]; secs = o.secs or secs
    ns, ip, tun, linkopt = up(topo, o, path)
    procs, link = [], None
    try:
        if linkopt is not None:
            opt = linkopt
            if path:
                w = PATHS[path]
                if "--p " in w:    # random loss on the direction that carries the data, so acknowledgements are spared
                    w, p = w.split("--p "); w = w.format(a=p if sc.endswith("-in") else 0, b=p if sc.endswith("-out") else 0)
                opt = f"{w} --seed {o.seed + rnd}"
            link = start(f"{B}/link {C}:{PX}a {S}:{PX}b {opt}", None, o.cpus)
        st = start(cmd.format(tun=tun or "", addr=ip + "/24", ip=ip, mode=mode), ns, o.cpus); procs.append(st)
        time.sleep(0.2)
        l = args.format(ip=ip, secs=secs)
        pre = f"taskset -c {o.cpus} " if o.cpus else ""
        r = subprocess.run(shlex.split(f"{pre}ip netns exec {C} {B}/load {l} --pid {st.pid}"), capture_output=True, text=True, timeout=secs + 60)
        if r.returncode or not r.stdout.strip():
            return {"scenario": sc, "stack": name, "round": rnd, "error": (r.stderr or "no output").strip()[-300:]}
        d = json.loads(r.stdout.strip().splitlines()[-1])
        d.update(scenario=sc, stack=name, round=rnd, time=time.strftime("%Y-%m-%dT%H:%M:%S"), cc=o.cc)
        if r.stderr.strip(): d["stderr"] = r.stderr.strip()[-200:]
        if path: d["path"] = PATHS[path]
        return d
    except Exception as e:
        return {"scenario": sc, "stack": name, "round": rnd, "error": str(e)[-300:]}
    finally:
        for p in procs: stop(p)
        if link:
            out = stop(link)
            try: ld = json.loads(out.strip().splitlines()[-1])["link"]
            except Exception: ld = {}
            if "d" in locals():
                d["link_cpu_s"] = ld.get("cpu_s"); d["link"] = ld
                if d.get("bytes"): d["link_cpu_s_per_gb"] = round(ld.get("cpu_s", 0) / (d["bytes"] / 1e9), 3)
        down()

def med(v): return statistics.median(v)
def fmt(x): return f"{x:.0f}" if abs(x) >= 100 else f"{x:.2f}" if abs(x) >= 1 else f"{x:.3f}"

def table(sc, res, stacks):
    head, better = SC[sc][4], SC[sc][5]
    print(f"\n## {sc} ({head}, {'higher' if better == 'high' else 'lower'} is better)")
    cols = {"bulk": ["stack_cpu_s_per_gb", "stack_user_s", "stack_sys_s", "client_cpu_s", "link_cpu_s_per_gb"], "ping": ["mean_us", "p99_us", "ops_s", "stack_us_per_op"],
            "conn": ["p50_us", "p99_us", "failed", "stack_us_per_conn"]}
    k = "ping" if sc.startswith("ping") else "conn" if sc.startswith("conn") else "bulk"
    cs = cols[k] + (["connect_s", "min_conn_mb", "max_conn_mb", "rss_start_kb", "rss_conn_kb", "rss_peak_kb"] if sc.startswith("many") else [])
    print(f"| stack | n | {head} median | min..max | ratio to {stacks[0]} | " + " | ".join(cs) + " |\n|---|---|---|---|---|" + "---|" * len(cs))
    base = None
    for s in stacks:
        rs = [r for r in res if r["stack"] == s and "error" not in r]
        if not rs:
            e = [r.get("error", "") for r in res if r["stack"] == s]
            print(f"| {s} | 0 | failed: {(e or ['?'])[-1].splitlines()[-1][:120]} |" + " |" * (3 + len(cs))); continue
        v = [r[head] for r in rs]; m = med(v)
        if base is None: base = m
        row = [fmt(med([r[c] for r in rs if r.get(c) is not None])) if any(r.get(c) is not None for r in rs) else "" for c in cs]
        print(f"| {s} | {len(rs)} | {fmt(m)} | {fmt(min(v))}..{fmt(max(v))} | {m / base if base else 0:.2f} | " + " | ".join(row) + " |")
    sys.stdout.flush()

def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("scenario"); a.add_argument("files", nargs="*"); a.add_argument("--stacks", default=DEFAULT); a.add_argument("--rounds", type=int, default=5)
    a.add_argument("--secs", type=float, default=0); a.add_argument("--json"); a.add_argument("--stack", action="append", default=[])
    a.add_argument("--cc", default="cubic"); a.add_argument("--txqueuelen", type=int, default=1000); a.add_argument("--cpus", default="")
    a.add_argument("--mtu", type=int, default=1500); a.add_argument("--seed", type=int, default=1)
    o = a.parse_args()
    if o.scenario in ("tls", "crypto", "tunraw", "sslstream"):
        sys.exit(subprocess.call([os.path.join(os.path.dirname(os.path.abspath(__file__)), "micro.sh"), o.scenario]))
    if o.scenario == "report":
        res = [json.loads(l) for f in o.files for l in open(f)]
        for sc in SC:
            rs = [r for r in res if r.get("scenario") == sc]
            if rs: table(sc, rs, list(dict.fromkeys(r["stack"] for r in rs)))
        return
    if o.scenario == "list":
        print("scenarios:", " ".join(SC), "tls crypto tunraw sslstream\nstacks:", " ".join(STACKS)); return
    stacks = [x for x in o.stacks.split(",") if x]
    for e in o.stack:
        n, cmd = e.split("=", 1); topo = "tun"
        if n.endswith("@link"): n, topo = n[:-5], "link"
        STACKS[n] = (topo, cmd)
        if n not in stacks: stacks.append(n)
    scs = list(SC) if o.scenario == "all" else o.scenario.split(",")
    for sc in scs:
        if sc not in SC: sys.exit(f"unknown scenario {sc}; see run.sh list")
    out = open(o.json, "a") if o.json else None
    try:
        for sc in scs:
            res = []
            for r in range(o.rounds):
                for s in stacks:
                    if SC[sc][2] and STACKS[s][0] in ("veth", "linkv"): continue
                    d = one(s, sc, o, r); res.append(d)
                    if out: out.write(json.dumps(d) + "\n"); out.flush()
                    if "error" in d: print(f"# {sc} {s} round {r}: {d['error']}", file=sys.stderr)
            table(sc, res, [s for s in stacks if not (SC[sc][2] and STACKS[s][0] in ("veth", "linkv"))])
    finally:
        down()

if __name__ == "__main__":
    main()
