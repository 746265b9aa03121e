#!/usr/bin/env python3
"""CPUs that nobody else uses at the moment: on a shared machine a core runs 1.5 times slower and more for seconds to minutes, because
another machine's work has its second thread.

usage: cores.py [COUNT]   prints COUNT of them
"""
import os
import sys
import time

STEPS = 20000     # of a loop, about a millisecond and a half
DISTURBED = 1.15  # times the shortest loop seen


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


if __name__ == "__main__":
    print(Quiet().pick(int(sys.argv[1]) if len(sys.argv) > 1 else 1))
