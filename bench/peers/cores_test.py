#!/usr/bin/env python3
"""The arithmetic of cores.py and scaling.py: which pairs and turns count, and what comes of them. `python3 -m unittest discover bench/peers '*_test.py'`."""
import collections
import unittest

import cores
import scaling


def probe(alone, together, zmm_alone=(200.0, 200.0), zmm_together=(200.0, 200.0), layer=None):
    layers = {"alone": list(layer or alone), "together": list(layer or together)}
    return {"loops": {"layer": layers, "vpdpbusd zmm": {"alone": list(zmm_alone), "together": list(zmm_together)}, "tdpbusd": {"alone": list(alone), "together": list(together)}},
            "line_ns": 150}


TWO_CORES = probe((2000, 2000), (1980, 2000))


class Machine:
    """CPUs whose cores and rates are known."""

    def __init__(self, core_of, rate_of):
        self.core_of, self.rate_of, self.probes = core_of, rate_of, 0

    def __call__(self, *cpus):
        self.probes += 1
        alone = [self.rate_of[cpu] for cpu in cpus] + [0.0] * (2 - len(cpus))
        share = 0.5 if len(cpus) == 2 and self.core_of[cpus[0]] == self.core_of[cpus[1]] else 1.0
        together = [rate * share for rate in alone] if len(cpus) == 2 else [0.0, 0.0]
        return probe(alone, together, [rate / 10 for rate in alone], [rate / 10 for rate in together])


class Faults(unittest.TestCase):
    def test_two_cores_have_none(self):
        self.assertEqual(cores.fault([TWO_CORES]), "")
        self.assertAlmostEqual(cores.beside(TWO_CORES), 0.99)

    def test_one_loop_that_runs_at_half_its_rate_is_enough(self):
        self.assertEqual(cores.fault([probe((2000, 2000), (980, 990))]), "shared")
        self.assertEqual(cores.fault([probe((2000, 2000), (2000, 2000), (200, 200), (200, 110))]), "shared")

    def test_in_any_of_the_probes(self):
        self.assertEqual(cores.fault([TWO_CORES, probe((2000, 2000), (1000, 1000)), TWO_CORES]), "shared")
        self.assertEqual(cores.fault([TWO_CORES, probe((1500, 2000), (1500, 2000))]), "clock")
        self.assertEqual(cores.fault([TWO_CORES, probe((1900, 2000), (1900, 2000))]), "")

    def test_the_clocks_of_both_cpus_are_the_same(self):
        self.assertAlmostEqual(cores.evenness([probe((1500, 2000), (1500, 2000))]), 0.75)
        self.assertEqual(cores.fault([probe((1500, 2000), (1500, 2000))]), "clock")

    def test_a_neighbour_that_only_the_layer_feels_is_another_clock(self):
        self.assertEqual(cores.fault([probe((2000, 2000), (2000, 2000), layer=(1000, 450))]), "clock")
        self.assertEqual(cores.fault([probe((2000, 2000), (2000, 2000), layer=(1000, 990)), probe((2000, 2000), (2000, 2000), layer=(400, 990))]), "clock")

    def test_gain_is_of_the_first_cpu_and_the_mean_of_probes(self):
        self.assertAlmostEqual(cores.gain([probe((2000, 1900), (2000, 1800)), probe((2000, 2000), (2000, 2000))]), 1.95)

    def test_clock_and_gain_are_those_of_the_last_loop(self):
        only_zmm = {"loops": {"layer": {"alone": [100, 100], "together": [100, 100]}, "vpdpbusd zmm": {"alone": [200, 160], "together": [150, 150]}}}
        self.assertAlmostEqual(cores.gain([only_zmm]), 1.5)
        self.assertAlmostEqual(cores.evenness([only_zmm]), 0.8)
        self.assertEqual(cores.fault([probe((2000, 2000), (2000, 2000), (200, 120), (200, 120))]), "")


class Picking(unittest.TestCase):
    def test_takes_cores_of_their_own_and_the_same_clock(self):
        machine = Machine(core_of={1: 0, 2: 0, 3: 1, 4: 2}, rate_of={1: 2000, 2: 2000, 3: 1500, 4: 1990})
        pair, found = cores.Pairs([1, 2, 3, 4], machine).pick()
        self.assertEqual(set(pair), {1, 4})
        self.assertEqual(cores.fault([found]), "")

    def test_keeps_the_last_pair_until_the_host_moves_it(self):
        machine = Machine(core_of={1: 0, 2: 1, 3: 2}, rate_of={1: 2000, 2: 2000, 3: 2000})
        pairs = cores.Pairs([1, 2, 3], machine)
        first, _ = pairs.pick()
        before = machine.probes
        self.assertEqual(pairs.pick()[0], first)
        self.assertEqual(machine.probes, before + 1)
        machine.core_of[first[1]] = machine.core_of[first[0]]
        self.assertNotEqual(set(pairs.pick()[0]), set(first))

    def test_without_a_good_pair_takes_the_nearest_and_says_so(self):
        machine = Machine(core_of={1: 0, 2: 0, 3: 1}, rate_of={1: 2000, 2: 2000, 3: 1500})
        pair, found = cores.Pairs([1, 2, 3], machine).pick()
        self.assertIn(3, pair)
        self.assertEqual(cores.fault([found]), "clock")

    def test_two_cpus_are_the_pair(self):
        machine = Machine(core_of={4: 0, 6: 0}, rate_of={4: 2000, 6: 2000})
        pair, found = cores.Pairs([4, 6], machine).pick()
        self.assertEqual((set(pair), cores.fault([found])), ({4, 6}, "shared"))


def turn(one, two, processes=(1.0, 1.0), probes=(TWO_CORES,), isa="amx", busy=None):
    run = lambda ms: scaling.Run(ms, 0.9 * ms, isa, None)  # noqa: E731
    return scaling.Turn(run(one), scaling.Run(two, 0.9 * two, isa, 0.2), tuple(run(ms) for ms in processes), run(busy) if busy else None, list(probes))


class Rows(unittest.TestCase):
    def test_efficiency_is_the_median_of_turns_by_their_own_loops(self):
        slow = probe((1000, 1000), (750, 750))  # two loops reach 1.5 of one
        full = probe((1000, 1000), (1000, 1000))
        row = scaling.row_of([turn(1.0, 0.5, probes=[full]), turn(1.5, 1.0, probes=[slow]), turn(1.0, 0.625, probes=[full])], collections.Counter(shared=3))
        self.assertAlmostEqual(row["threads"], 1.0)
        self.assertAlmostEqual(row["one_ms"], 1.0)
        self.assertAlmostEqual(row["least"], 0.9 / 0.45 / 2)
        self.assertEqual((row["turns"], row["shared"], row["clock"]), (3, 3, 0))

    def test_processes_count_by_images(self):
        row = scaling.row_of([turn(1.0, 0.5, (1.0, 1.25), [probe((1, 1), (1, 1))])], collections.Counter())
        self.assertAlmostEqual(row["processes"], (1 + 0.8) / 2)
        self.assertNotIn("busy", row)

    def test_a_busy_neighbour_is_held_against_one_thread_of_its_turn(self):
        row = scaling.row_of([turn(1.0, 0.5, busy=1.2), turn(2.0, 1.0, busy=2.2)], collections.Counter())
        self.assertAlmostEqual(row["busy"], 1.15)


if __name__ == "__main__":
    unittest.main()
