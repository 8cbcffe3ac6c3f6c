"""What the table says of given figures."""

import unittest

import table
from rows import ROWS, Row


def row(**more):
    return Row("r", "text", "udp", [], "figure", "ns", ["nginx"], **more)


class Table(unittest.TestCase):
    def test_ratios_are_of_the_least(self):
        figures = {"jostle": [22.0, 20.0, 30.0], "nginx": [100.0, 110.0, 400.0]}
        beside = {"jostle": {"lost": [0, 2, 1]}, "nginx": {}}
        wanted = row(against="nginx", ratio_max=0.20)
        lines = table.summarised(wanted, figures, beside)
        of_jostle = lines["jostle"]
        self.assertEqual((of_jostle["least"], of_jostle["median"], of_jostle["spread"]), (20, 22, 0.5))
        self.assertEqual((of_jostle["ratio"], of_jostle["met"]), (0.2, True))
        self.assertEqual(of_jostle["beside"], {"lost": 1})
        self.assertEqual((lines["nginx"]["ratio"], lines["nginx"]["goal"]), (None, None))
        self.assertFalse(table.summarised(row(against="nginx", ratio_max=0.19), figures, beside)["jostle"]["met"])

    def test_without_its_peer_a_ratio_is_neither_met_nor_missed(self):
        lines = table.summarised(row(against="nginx", ratio_max=0.5), {"jostle": [1.0]}, {"jostle": {}})
        self.assertEqual((lines["jostle"]["ratio"], lines["jostle"]["met"]), (None, None))
        self.assertIn("≤ 0.50 × –", table.text(row(against="nginx"), lines))

    def test_a_bound_of_the_figure_itself(self):
        for most, met in ((10, True), (9, False)):
            lines = table.summarised(row(figure_max=most), {"jostle": [10.0]}, {"jostle": {}})
            self.assertEqual(lines["jostle"]["met"], met)

    def test_every_goal_speaks_of_a_program_of_its_row(self):
        for wanted in ROWS.values():
            known = {"jostle", "engine", *wanted.variants, *wanted.peers}
            self.assertIn(wanted.subject, known)
            if wanted.ratio_max is not None:
                self.assertIn(wanted.against, known)


if __name__ == "__main__":
    unittest.main()
