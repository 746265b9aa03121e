#!/usr/bin/env python3
"""CPUs that nobody else uses at the moment: on a shared machine a core runs 1.5 times slower and more for seconds to minutes, because
another machine's work has its second thread.

usage: cores.py [COUNT]   prints COUNT of them
       cores.py --pair    prints two that are cores of their own, as register loops show

The CPUs of a virtual machine may be threads of cores, and its host moves them: two of them are one core for a while, and every loop
takes twice as long beside the other's. No folder of the system says so; loops on both at the same time do (octet_loops_bench). For
seconds layers also take 2 to 2.6 times as long while loops on registers, before and behind, run as ever: why is not known (another
machine's thread on the core would fit), and a layer, which runs beside these loops, tells.
"""
import json
import os
import subprocess
import sys
import time

STEPS = 20000     # of a loop, about a millisecond and a half
DISTURBED = 1.15  # times the shortest loop seen
LOOPS = "build/octet_loops_bench"
BESIDE = 0.9      # of its rate alone, what a core's loop reaches beside the other's at least
CLOCK = 0.8       # of the fastest rate alone, the slowest, while the pace is the same: in slow spells a layer has 0.33 to 0.45
PAIRS_TRIED = 24


def loop_ns():
    begin, total = time.perf_counter_ns(), 0
    for i in range(STEPS):
        total += i * i
    return time.perf_counter_ns() - begin


def candidates():
    """CPUs of this process, one of each core; without the first, which has the system's own work, where there are others."""
    cores = {}
    for cpu in sorted(os.sched_getaffinity(0)):
        path, core = f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list", cpu
        if os.path.exists(path):
            with open(path, encoding="utf-8") as file:
                core = file.read().strip()
        cores.setdefault(core, cpu)
    cpus = list(cores.values())
    return cpus[1:] if len(cpus) > 2 else cpus


class Quiet:
    """Finds them again and again: those of the last time as long as they are quiet."""

    def __init__(self):
        self.cpus, self.shortest = candidates(), None

    def worst_ns(self, cpu):
        os.sched_setaffinity(0, {cpu})
        loop_ns()  # moved here, clock up
        return max(loop_ns() for _ in range(2))

    def pick(self, count):
        """`count` CPUs: the first quiet ones, else the least disturbed."""
        own, found, seen = os.sched_getaffinity(0), [], {}
        try:
            if self.shortest is None:
                self.shortest = min(self.worst_ns(cpu) for cpu in self.cpus)
            for cpu in self.cpus:
                seen[cpu] = self.worst_ns(cpu)
                self.shortest = min(self.shortest, seen[cpu])
                if seen[cpu] <= DISTURBED * self.shortest:
                    found.append(cpu)
                if len(found) == count:
                    break
        finally:
            os.sched_setaffinity(0, own)
        found += sorted((cpu for cpu in seen if cpu not in found), key=seen.get)[:count - len(found)]
        self.cpus = found + [cpu for cpu in self.cpus if cpu not in found]
        return ",".join(str(cpu) for cpu in found)


def loops(*cpus):
    """What octet_loops_bench says: {"loops": {instruction: {"alone": [a, b], "together": [a, b]}}, "line_ns": ...}, rates in GMAC/s."""
    done = subprocess.run([LOOPS, *(str(cpu) for cpu in cpus)], stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)


def beside(probe):
    """Of its rate alone, what the worst loop of a pair reaches beside the other: 1 on two cores, a half on one."""
    return min(t / a for rates in probe["loops"].values() for a, t in zip(rates["alone"], rates["together"]))


def instruction(probe):
    """The products that octet runs where it may: the last loop's."""
    return list(probe["loops"])[-1]


def watched(probe):
    """The loops whose rates tell the pace."""
    return ("layer", instruction(probe))


def evenness(probes):
    """The slowest over the fastest rate alone, of both CPUs in all probes, of the loop where it is least."""
    worst = 1.0
    for name in watched(probes[0]):
        rates = [rate for probe in probes for rate in probe["loops"][name]["alone"]]
        worst = min(worst, min(rates) / max(rates))
    return worst


def fault(probes):
    """Why what ran on a pair between these probes does not count: "shared", "clock", or "" if it does."""
    if min(beside(probe) for probe in probes) < BESIDE:
        return "shared"
    return "clock" if evenness(probes) < CLOCK else ""


def gain(probes):
    """Both loops' rate over that of the first CPU's alone: what two threads could gain."""
    rates = [probe["loops"][instruction(probe)] for probe in probes]
    return sum(sum(r["together"]) / r["alone"][0] for r in rates) / len(rates)


class Pairs:
    """Two CPUs that are cores of their own, again and again: those of the last time as long as they are."""

    def __init__(self, cpus=None, probe=loops):
        self.cpus, self.probe, self.pair, self.fastest = cpus or candidates(), probe, None, {}

    def speed(self, probe, count):
        """Of the fastest rate ever seen, the slowest of `count` CPUs' in the probe."""
        rates = {name: probe["loops"][name]["alone"][:count] for name in watched(probe)}
        for name, found in rates.items():
            self.fastest[name] = max(self.fastest.get(name, 0), *found)
        return min(min(found) / self.fastest[name] for name, found in rates.items())

    def pick(self):
        """The pair, and its probe: the first without fault, else the one that comes nearest."""
        if self.pair and not fault([probe := self.probe(*self.pair)]) and self.speed(probe, 2) >= CLOCK:
            return self.pair, probe
        probes = {cpu: self.probe(cpu) for cpu in self.cpus}
        for probe in probes.values():
            self.speed(probe, 1)
        cpus = sorted(self.cpus, key=lambda cpu: -self.speed(probes[cpu], 1))
        tried = []
        for b in range(1, len(cpus)):  # pairs of fast CPUs first
            for a in range(b):
                if len(tried) == PAIRS_TRIED:
                    break
                pair = (cpus[a], cpus[b])
                probe = self.probe(*pair)
                tried.append((min(beside(probe), evenness([probe])), pair, probe))
                if not fault([probe]):
                    self.pair = pair
                    return pair, probe
        _, self.pair, probe = max(tried, key=lambda t: t[0])
        return self.pair, probe


if __name__ == "__main__":
    if sys.argv[1:] == ["--pair"]:
        print(",".join(str(cpu) for cpu in Pairs().pick()[0]))
    else:
        print(Quiet().pick(int(sys.argv[1]) if len(sys.argv) > 1 else 1))
