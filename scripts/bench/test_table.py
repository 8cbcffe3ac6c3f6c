"""What the table says of given figures."""

import contextlib
import io
import unittest

import curves
import measure
import table
from programs import Failed
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

    def test_what_fails_is_tried_again_and_told(self):
        outcomes = iter([Failed("nothing arrived"), 7.0])

        def figure():
            outcome = next(outcomes)
            if isinstance(outcome, Failed):
                raise outcome
            return outcome

        def fails():
            raise Failed("never")

        with contextlib.redirect_stderr(io.StringIO()) as said:
            self.assertEqual(measure.tried("row", figure), 7.0)
            self.assertIsNone(measure.tried("other", fails))
        lines = said.getvalue().splitlines()
        self.assertEqual(lines[0], "row: attempt 1 of 3 failed: nothing arrived")
        self.assertEqual(lines[1:], [f"other: attempt {n} of 3 failed: never" for n in (1, 2, 3)])

    def test_curves_tell_medians_and_what_is_missing(self):
        results = {"routes": {1: [600.0, 500.0, 900.0], 16: [], 256: [1200.0], 4096: [1.0]},
                   "in-flight": {1000: [127.4]}}
        self.assertEqual(
            curves.markdown(results).splitlines(),
            ["| | | | | |", "|---|---|---|---|---|",
             "| routes, of which one carries, ns/packet | 1: 600 | 16: – | 256: 1,200 | 4,096: 1 |",
             "| packets in a link with drop + rate + delay, ns/packet | 1,000: 127 |  |  |  |"],
        )
        self.assertIn("600 (1.00 ×)", curves.text("routes", results["routes"]))
        self.assertIn("1,200 (2.00 ×)", curves.text("routes", results["routes"]))


if __name__ == "__main__":
    unittest.main()
