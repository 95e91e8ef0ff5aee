#!/usr/bin/env python3
"""make bench: our stack beside its peers in turn, then the ratios and the bars that the first version has to pass.

  bench.py [--rounds 3] [--secs 2] [--only bulk-in,ping1] [--json FILE]

Bulk is judged with Scheduling = Inline, as a forwarder would run it; ping and connections with the default (continuations on the pool). Both are printed.
Ratios within one run are what counts. The two bars in microseconds were set on a machine whose limit (null-gso in the same run) is known, so on a slower or
busier machine the same multiple of that limit passes too, and the line says that it did.
"""
import argparse, json, os, sys
from types import SimpleNamespace
import run

BULK = ["null-gso", "gvisor-gso", "lwip", "ours-inline", "ours", "ours-inline-nooffload", "ours-nooffload"]
SMALL = ["null-gso", "gvisor-gso", "lwip", "ours", "ours-inline"]
# scenario: (stacks, processors; one is enough to compare latency without the cost of waking the other, see README.md)
SCENARIOS = {"bulk-in": (BULK, ""), "bulk-out": (BULK, ""), "ping1": (SMALL, "0"), "conns": (SMALL, "")}
CPU = {"bulk-in": "stack_cpu_s_per_gb", "bulk-out": "stack_cpu_s_per_gb", "ping1": "stack_us_per_op", "conns": "stack_us_per_conn"}

# (text, scenario, column, our stack, peer): less is better, the bar is the peer's figure in the same run
RATIO_BARS = [
    ("bulk in, offload: CPU per GB below gVisor with TSO", "bulk-in", "stack_cpu_s_per_gb", "ours-inline", "gvisor-gso"),
    ("bulk out, offload: CPU per GB below gVisor with TSO", "bulk-out", "stack_cpu_s_per_gb", "ours-inline", "gvisor-gso"),
    ("bulk in, 1500-octet packets: CPU per GB below lwIP", "bulk-in", "stack_cpu_s_per_gb", "ours-inline-nooffload", "lwip"),
    ("bulk out, 1500-octet packets: CPU per GB below lwIP", "bulk-out", "stack_cpu_s_per_gb", "ours-inline-nooffload", "lwip"),
]
# (text, scenario, column, our stack, bar in microseconds, null-gso's figure where the bar was set)
ABSOLUTE_BARS = [
    ("one octet there and back, one processor: p50", "ping1", "p50_us", "ours", 45.0, 17.4),
    ("an accepted connection: CPU", "conns", "stack_us_per_conn", "ours", 150.0, 27.0),
]


def median(results, scenario, stack, column):
    values = [r[column] for r in results if r["scenario"] == scenario and r["stack"] == stack and r.get(column) is not None]
    return run.med(values) if values else None


def available(stack):
    return os.path.exists(run.STACKS[stack][1].split()[0])


def bars(results, scenarios):
    """Prints a line per bar; true when none is missed."""
    good = True
    print("\n## bars\n| bar | ours | bar | ratio | |\n|---|---|---|---|---|")
    for text, scenario, column, ours, peer in RATIO_BARS:
        if scenario not in scenarios:
            continue
        mine, theirs = median(results, scenario, ours, column), median(results, scenario, peer, column)
        if mine is None or theirs is None:
            good = good and mine is not None
            print(f"| {text} | {ours}: {'no figure' if mine is None else run.fmt(mine)} | {peer}: {'not there' if theirs is None else run.fmt(theirs)} | | {'FAIL' if mine is None else 'not judged'} |")
            continue
        good = good and mine < theirs
        print(f"| {text} | {run.fmt(mine)} | {run.fmt(theirs)} | {mine / theirs:.2f} | {'pass' if mine < theirs else 'FAIL'} |")
    for text, scenario, column, ours, bar, reference in ABSOLUTE_BARS:
        if scenario not in scenarios:
            continue
        mine, limit = median(results, scenario, ours, column), median(results, scenario, "null-gso", column)
        if mine is None:
            good = False
            print(f"| {text} | no figure | {bar:.0f} us | | FAIL |")
            continue
        by_ratio = limit is not None and mine / limit <= bar / reference
        verdict = "pass" if mine <= bar else f"pass by ratio ({bar / reference:.1f} x null-gso allowed)" if by_ratio else "FAIL"
        good = good and (mine <= bar or by_ratio)
        print(f"| {text} | {run.fmt(mine)} us | {bar:.0f} us | {f'{mine / limit:.2f} x null-gso' if limit else ''} | {verdict} |")
    return good


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--rounds", type=int, default=3)
    a.add_argument("--secs", type=float, default=2)
    a.add_argument("--only", default=",".join(SCENARIOS))
    a.add_argument("--json")
    o = a.parse_args()
    scenarios = o.only.split(",")
    for s in scenarios:
        if s not in SCENARIOS:
            sys.exit(f"unknown scenario {s}; there are {', '.join(SCENARIOS)}")
    out = open(o.json, "a") if o.json else None
    results = []
    try:
        for scenario in scenarios:
            stacks, cpus = SCENARIOS[scenario]
            missing = [s for s in stacks if not available(s)]
            stacks = [s for s in stacks if s not in missing]
            options = SimpleNamespace(secs=o.secs, cc="cubic", txqueuelen=1000, cpus=cpus, mtu=1500, seed=1)
            for r in range(o.rounds):
                for stack in stacks:
                    d = run.one(stack, scenario, options, r)
                    results.append(d)
                    if out:
                        out.write(json.dumps(d) + "\n")
                        out.flush()
                    if "error" in d:
                        print(f"# {scenario} {stack} round {r}: {d['error']}", file=sys.stderr)
            run.table(scenario, [r for r in results if r["scenario"] == scenario], stacks)
            best = median(results, scenario, "null-gso", CPU[scenario])
            if best:
                parts = [f"{s} {m / best:.1f}" for s in stacks if s != "null-gso" and (m := median(results, scenario, s, CPU[scenario])) is not None]
                print(f"CPU as a multiple of null-gso, the limit of the path: {', '.join(parts)}")
            if missing:
                print(f"not there (see {run.B}): {', '.join(missing)}")
            sys.stdout.flush()
    finally:
        run.down()
    sys.exit(0 if bars(results, scenarios) else 1)


if __name__ == "__main__":
    main()
