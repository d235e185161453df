"""What `versus` makes of its words, of rounds that are made up, and of programs that are no server."""

import argparse
import os
import pathlib
import subprocess
import sys
import tempfile
import types
import unittest
from unittest import mock

LOADTEST = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(LOADTEST))

import builds
import lone
import rounds
import servers

TRUE = pathlib.Path("/bin/true").resolve()


def made(**figures):
    """Rounds in which a server had these figures, one after the other."""
    return [{name: {"cpu_ns_per_token": cost} for name, cost in zip(figures, each)} for each in zip(*figures.values())]


class Words(unittest.TestCase):
    def test_a_word_names_a_binary_and_its_variables(self):
        for text, name, binary, settings in [
            ("now=release", "now", servers.BUILT / "jeton", {}),
            ("v1.2-rc=/bin/true", "v1.2-rc", TRUE, {}),
            ("off=release@JETON_KEYS__VECTOR_SIGNING=off", "off", servers.BUILT / "jeton", {"JETON_KEYS__VECTOR_SIGNING": "off"}),
            ("a=/bin/true@LD_PRELOAD=/lib/a.so@B=c=d@_e=", "a", TRUE, {"LD_PRELOAD": "/lib/a.so", "B": "c=d", "_e": ""}),
            ("a=/bin/true@URL=user:x@host:1/@2@3", "a", TRUE, {"URL": "user:x@host:1/@2@3"}),
        ]:
            build = builds.parse(text)
            self.assertEqual((build.name, build.binary, build.settings), (name, binary, settings))

    def test_a_binary_may_have_an_at_sign_and_is_found_from_where_one_stands(self):
        with tempfile.TemporaryDirectory() as folder:
            binary = pathlib.Path(folder).resolve() / "jeton@2"
            binary.symlink_to(TRUE)
            relative = os.path.relpath(binary)
            self.assertEqual(builds.parse(f"a={relative}@B=c").binary, TRUE)

    def test_what_names_no_build_is_refused_in_words(self):
        for text, told in [
            ("release", "is not NAME=BINARY"),
            ("=release", "is not NAME=BINARY"),
            ("release@A=b", "is not NAME=BINARY"),
            ("a=", "'' is no program"),
            ("a=/nowhere/jeton", "'/nowhere/jeton' is no program"),
            ("a=/etc/passwd@B=c", "'/etc/passwd' is no program"),
            ("a=/bin", "'/bin' is no program"),
            ("nginx=release", "choose another name"),
        ]:
            with self.assertRaises(argparse.ArgumentTypeError, msg=text) as refused:
                builds.parse(text)
            self.assertIn(told, str(refused.exception))

    def test_the_command_ends_with_2_and_says_what_is_wrong_before_anything_is_built(self):
        for words, told in [
            ([], "the following arguments are required"),
            (["a=/nowhere/jeton"], "'/nowhere/jeton' is no program"),
            (["a=release", "b=release", "a=/bin/true"], "two builds are called a"),
            (["a=release", "--rounds", "0"], "'0' is no whole number above 0"),
            (["a=release", "--rates", "100"], "--rates is for --lone"),
            (["a=release", "--lone", "--rates", "100,,1"], "'' is no whole number above 0"),
        ]:
            done = subprocess.run([sys.executable, "-B", LOADTEST / "versus", *words], capture_output=True, text=True)
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertIn(told, done.stderr)
            self.assertNotIn("Traceback", done.stderr)


class Servers(unittest.TestCase):
    def refusal(self, binary, settings):
        """What is said of a program that does not become a server; none of it is left."""
        home = types.SimpleNamespace(environment=dict(os.environ), store="memory:")
        core = min(os.sched_getaffinity(0))
        started = []
        begin = subprocess.Popen
        with mock.patch("subprocess.Popen", lambda *words, **more: started.append(begin(*words, **more)) or started[-1]):
            with self.assertRaises(SystemExit) as refused:
                servers.Jeton(home, core, settings, binary)
        self.assertIsNotNone(started[0].poll())
        started[0].stderr.close()
        return str(refused.exception)

    def test_a_program_that_is_no_server_is_named_with_its_last_words(self):
        self.assertEqual(self.refusal(TRUE, {}), f"the server did not start: {TRUE}: it said nothing")
        with tempfile.TemporaryDirectory() as folder:
            script = pathlib.Path(folder) / "jeton"
            script.write_text('#!/bin/sh\necho "unknown key $WRONG" >&2\nexit 78\n')
            script.chmod(0o700)
            self.assertEqual(self.refusal(script, {"WRONG": "keyz"}), f"the server did not start: {script}: unknown key keyz")

    def test_a_library_that_cannot_be_preloaded_is_not_measured_as_if_it_had_been(self):
        told = self.refusal(pathlib.Path("/bin/sleep"), {"LD_PRELOAD": "/nowhere/liballocator.so"})
        self.assertIn("/nowhere/liballocator.so", told)
        self.assertIn("cannot be preloaded", told)

    def test_a_build_that_is_skipped_must_be_there(self):
        with mock.patch.dict(os.environ, {"JETON_SKIP_BUILD": "1"}), mock.patch.object(servers, "BUILT", pathlib.Path("/nowhere")):
            with self.assertRaises(SystemExit) as refused:
                servers.build()
        self.assertIn("/nowhere/jeton is not built", str(refused.exception))


@mock.patch("processes.say", lambda text: None)
class Rounds(unittest.TestCase):
    def test_every_other_round_goes_backwards_and_all_tell_in_the_same_order(self):
        order = []
        found = rounds.in_turn({"a": 1, "b": 2, "c": 3}, 3, lambda server: order.append(server) or 10 * server, str)
        self.assertEqual(order, [1, 2, 3, 3, 2, 1, 1, 2, 3])
        self.assertEqual([list(each.items()) for each in found], 3 * [[("a", 10), ("b", 20), ("c", 30)]])

    def test_a_ratio_is_taken_within_each_round_before_the_median(self):
        # The quotient of the medians would be 1.
        found = made(before=[10, 20, 60], now=[5, 20, 40])
        self.assertEqual(rounds.ratios(found, "cpu_ns_per_token", "before", "now"), [2, 1, 1.5])
        self.assertEqual(rounds.ratio(found, "cpu_ns_per_token", "before", "now"), 1.5)

    def test_a_row_has_medians_and_what_a_core_makes(self):
        figures = [{"tokens_per_second": rate, "cpu_ns_per_token": 10_000, "p50_us": 5, "p99_us": 9} for rate in (1, 50_000, 60_000)]
        row = rounds.row([{"a": each} for each in figures], "a")
        self.assertEqual((row["tokens_per_second"], row["tokens_per_second_of_a_core"], row["percent_of_the_core"]), (50_000, 100_000, 50))

    def test_a_spread_is_the_median_between_its_quartiles(self):
        spread = rounds.spread([1.4, 1.0, 1.1, 1.3, 0.9])
        self.assertEqual((spread["lower_quartile"], spread["median"], spread["upper_quartile"]), (1.0, 1.1, 1.3))
        self.assertEqual((spread["more"], spread["less"], spread["rounds"]), (3, 1, 5))
        self.assertEqual(rounds.spread([1.25])["upper_quartile"], 1.25)

    def test_servers_differ_when_the_rounds_agree_more_than_chance_would(self):
        for ratios, differs in [
            ([1.01] * 6, True),
            ([0.99] * 6, True),
            ([1.5] * 5, False),
            ([1.0] * 100, False),
            ([1.01] * 6 + [1.0] * 6, True),
            ([2.0] * 7 + [0.9], False),
            ([1.01] * 9 + [0.99], True),
            ([2.0, 0.5] * 20, False),
        ]:
            self.assertEqual(rounds.spread(ratios)["differs"], differs, ratios)
        self.assertEqual(rounds.chance(6, 0), 2 / 64)
        self.assertEqual(rounds.chance(1, 7), 2 * 9 / 256)
        self.assertEqual(rounds.chance(3, 3), 1)

    def test_eyes_are_told_the_same(self):
        told = rounds.told(rounds.spread([1.25] * 5 + [1.5, 0.5]), "more")
        self.assertEqual(told, "1.250 times (1.250 to 1.250), more in 6 of 7 rounds: no more than rounds differ")
        self.assertTrue(rounds.told(rounds.spread([0.9] * 6), "more").endswith("more in 0 of 6 rounds: differs"))
        self.assertTrue(rounds.told(rounds.spread([0.9] * 5), "more").endswith("more in 0 of 5 rounds: too few rounds to tell"))

    def test_a_lone_request_that_takes_longer_has_a_ratio_above_1(self):
        each = {"before": {"p50_us": 50, "p99_us": 400, "late_us": 7}, "now": {"p50_us": 60, "p99_us": 200, "late_us": 8}}
        table = lone.report([each] * 6)
        self.assertEqual((table["now"]["p50_us_of_first"]["median"], table["now"]["p99_us_of_first"]["median"]), (1.2, 0.5))
        self.assertEqual(table["now"]["late_us"], 8)
        self.assertNotIn("p50_us_of_first", table["before"])


unittest.main()
