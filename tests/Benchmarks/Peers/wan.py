#!/usr/bin/env python3
"""make bench WAN=1: our TCP beside the kernel's on an impaired path, in both directions, and beside a flow of the kernel's on one bottleneck.

  wan.py [--rounds 9] [--secs 8] [--fair-secs 60] [--only wan,loss01,loss1,reorder,fair] [--beside gvisor,lwip] [--json FILE]

Goodput: the far end is in turn the kernel's server and our stack, A B A B, behind the same link with the same seed in a round; the near end is the kernel's TCP.
"in": the kernel sends, the far end receives; "out": the far end sends. The bar is 0.9 of the kernel's median.
Beside: other stacks of user space take their turns too, and ours must not be slower than any of them.
Fairness: one flow of the kernel's CUBIC and one of ours leave for the same receiver through one bottleneck, and for comparison two flows of the kernel's.
Each pair runs for a minute: the flow that starts first fills the queue, and CUBIC needs a while to share it (in 20 s two of the kernel's flows come to 0.88).
Jain's index over the run: (x+y)^2 / 2(x^2+y^2), 1 when both get the same, 0.5 when one gets all. The bar is 0.9 for the median.
"""
import argparse, json, shlex, subprocess, sys, time
from types import SimpleNamespace
import run

OURS, KERNEL = "ours-inline", "kernel-link"
BESIDE = ["gvisor", "lwip"]
GOODPUT_BAR, BESIDE_BAR, FAIRNESS_BAR = 0.9, 0.95, 0.9


def fairness(rnd, o, ours):
    """Two flows through one bottleneck; the first to start changes with the round. Returns the goodput of both and Jain's index."""
    result = {"scenario": "fair", "stack": OURS if ours else KERNEL, "round": rnd, "time": time.strftime("%Y-%m-%dT%H:%M:%S")}
    # The topology of a stack behind an impaired path: a kernel server at 10.77.0.3, where the link ends, ours one forwarding hop behind it.
    _, ip, tun, _ = run.up("tun", o, "wan")
    procs, link = [], None
    try:
        link = run.start(f"{run.B}/link {run.C}:{run.PX}a {run.S}:{run.PX}b {run.PATHS['wan']} --seed {o.seed + rnd}", None, o.cpus)
        procs.append(run.start(f"{run.B}/srv 10.77.0.3", run.S, o.cpus))
        flows = [("10.77.0.3", procs[0].pid)]
        if ours:
            procs.append(run.start(run.STACKS[OURS][1].format(tun=tun, addr=ip + "/24", ip=ip, mode="source"), run.S, o.cpus))
            flows.append((ip, procs[1].pid))
        else:
            flows.append(flows[0])
        time.sleep(0.2)
        loads = []
        order = (0, 1) if rnd % 2 == 0 else (1, 0)
        for i in order:
            address, pid = flows[i]
            loads.append((i, subprocess.Popen(shlex.split(f"ip netns exec {run.C} {run.B}/load bulk-out {address} {o.fair_secs} 1 --pid {pid}"),
                                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)))
            time.sleep(0.05)
        rates = [0.0, 0.0]
        for i, p in loads:
            out, err = p.communicate(timeout=o.fair_secs + 60)
            if p.returncode or not out.strip():
                raise RuntimeError((err or "no output").strip())
            rates[i] = json.loads(out.strip().splitlines()[-1])["gbit_s"]
        x, y = rates
        result.update(kernel_gbit_s=x, other_gbit_s=y, jain=(x + y) ** 2 / (2 * (x * x + y * y)) if x + y > 0 else 0)
    except Exception as e:
        result["error"] = str(e)[-300:]
    finally:
        for p in procs:
            run.stop(p)
        if link:
            run.stop(link)
        run.down()
    return result


def spread(values):
    return f"{run.fmt(min(values))}..{run.fmt(max(values))}"


def fairness_table(results):
    """Prints the table; true when our median reaches the bar."""
    print("\n## fair: two flows, one bottleneck\n| flows | n | Jain median | min..max | share of the second flow, median | min..max |\n|---|---|---|---|---|---|")
    medians = {}
    for stack, text in ((KERNEL, "kernel + kernel"), (OURS, "kernel + ours")):
        rows = [r for r in results if r["stack"] == stack and "error" not in r]
        if not rows:
            print(f"| {text} | 0 | failed: {results[-1].get('error', '?') if results else 'not run'} | | | |")
            continue
        jain = [r["jain"] for r in rows]
        share = [r["other_gbit_s"] / (r["kernel_gbit_s"] + r["other_gbit_s"]) for r in rows]
        medians[stack] = run.med(jain)
        print(f"| {text} | {len(rows)} | {medians[stack]:.3f} | {min(jain):.3f}..{max(jain):.3f} | {run.med(share):.2f} | {min(share):.2f}..{max(share):.2f} |")
    good = medians.get(OURS, 0) >= FAIRNESS_BAR
    return good, f"| fairness: Jain's index with a flow of the kernel's | {medians.get(OURS, 0):.3f} | {FAIRNESS_BAR} | {'pass' if good else 'FAIL'} |"


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--rounds", type=int, default=9)
    a.add_argument("--secs", type=float, default=8)
    a.add_argument("--fair-secs", type=float, default=60)
    a.add_argument("--only", default=",".join([*run.PATHS, "fair"]))
    a.add_argument("--beside", default="", help="other stacks to run in turn: " + ", ".join(BESIDE))
    a.add_argument("--seed", type=int, default=1)
    a.add_argument("--json")
    o = a.parse_args()
    only = o.only.split(",")
    for s in only:
        if s not in run.PATHS and s != "fair":
            sys.exit(f"unknown path {s}; there are {', '.join(run.PATHS)} and fair")
    beside = [s for s in o.beside.split(",") if s]
    if not set(beside) <= set(BESIDE):
        sys.exit(f"there are {', '.join(BESIDE)} to run beside ours")
    turn = [KERNEL, OURS, *beside]
    options = SimpleNamespace(secs=o.secs, fair_secs=o.fair_secs, cc="cubic", txqueuelen=1000, cpus="", mtu=1500, seed=o.seed)
    out = open(o.json, "a") if o.json else None
    lines, good = [], True

    def keep(results, result):
        results.append(result)
        if out:
            out.write(json.dumps(result) + "\n")
            out.flush()
        if "error" in result:
            print(f"# {result['scenario']} {result['stack']} round {result['round']}: {result['error']}", file=sys.stderr)

    try:
        for scenario in (p + d for p in only if p != "fair" for d in ("-in", "-out")):
            results = []
            for r in range(o.rounds):
                for stack in turn if r % 2 == 0 else turn[::-1]:
                    keep(results, run.one(stack, scenario, options, r))
            run.table(scenario, results, turn)
            goodput = {s: [r["gbit_s"] for r in results if r["stack"] == s and "error" not in r] for s in turn}
            if not goodput[KERNEL] or not goodput[OURS]:
                good = False
                lines.append(f"| {scenario} | no figure | {GOODPUT_BAR} | FAIL |")
                continue
            # The kernel's own spread over the same link seeds says how much a difference means.
            ratio = run.med(goodput[OURS]) / run.med(goodput[KERNEL])
            good = good and ratio >= GOODPUT_BAR
            lines.append(f"| {scenario}: goodput of the kernel's ({spread(goodput[OURS])} : {spread(goodput[KERNEL])} Gbit/s) | {ratio:.2f} | {GOODPUT_BAR} | {'pass' if ratio >= GOODPUT_BAR else 'FAIL'} |")
            for peer in beside:
                if goodput[peer]:
                    ratio = run.med(goodput[OURS]) / run.med(goodput[peer])
                    good = good and ratio >= BESIDE_BAR
                    lines.append(f"| {scenario}: goodput of {peer}'s ({spread(goodput[OURS])} : {spread(goodput[peer])} Gbit/s) | {ratio:.2f} | {BESIDE_BAR} | {'pass' if ratio >= BESIDE_BAR else 'FAIL'} |")
                else:
                    lines.append(f"| {scenario}: goodput of {peer}'s | no figure | {BESIDE_BAR} | |")

        if "fair" in only:
            results = []
            for r in range(o.rounds):
                for ours in (False, True) if r % 2 == 0 else (True, False):
                    keep(results, fairness(r, options, ours))
            fair, line = fairness_table(results)
            good = good and fair
            lines.append(line)
    finally:
        run.down()
    print("\n## bars\n| bar | ratio | at least | |\n|---|---|---|---|\n" + "\n".join(lines))
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
