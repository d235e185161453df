"""Rounds: servers loaded in turn, every other round backwards (A B C, C B A), so that whatever else the machine does
weighs on all alike; and what the rounds say together.

A figure is the median of the rounds. A ratio is taken within each round, whose servers had the same minute, before the
median is; how far the ratios of the rounds lie apart is how far their median can be believed.
"""

import math
import statistics

import processes

# What wrk.measured finds of a server.
FIGURES = ("tokens_per_second", "cpu_ns_per_token", "p50_us", "p99_us")
# A server differs from another where chance alone would make the rounds as unanimous less often than this.
CHANCE = 0.05


def shown(figures):
    """One server's part of a line of progress."""
    return f"{figures['tokens_per_second']:.0f}/s {figures['cpu_ns_per_token']:.0f} ns"


def in_turn(driven, count, measure, tell=shown):
    """Of each round what `measure` finds of every server, by the name it is driven under."""
    rounds = []
    for number in range(count):
        turn = list(driven) if number % 2 == 0 else list(reversed(driven))
        found = {name: measure(driven[name]) for name in turn}
        rounds.append({name: found[name] for name in driven})
        processes.say(f"round {number + 1}: {', '.join(f'{name} {tell(figures)}' for name, figures in rounds[-1].items())}")
    return rounds


def median(rounds, name, figure):
    """The median of a server's figure."""
    return statistics.median(each[name][figure] for each in rounds)


def row(rounds, name):
    """The medians of a server's figures, what a core makes of its tokens, and the part of the core that it had."""
    found = {figure: round(median(rounds, name, figure)) for figure in FIGURES}
    found["tokens_per_second_of_a_core"] = round(1e9 / found["cpu_ns_per_token"])
    found["percent_of_the_core"] = round(100 * found["tokens_per_second"] * found["cpu_ns_per_token"] / 1e9)
    return found


def ratios(rounds, figure, above, below):
    """What the figure of one server is of another's, in each round."""
    return [each[above][figure] / each[below][figure] for each in rounds]


def ratio(rounds, figure, above, below):
    """The median of that."""
    return round(statistics.median(ratios(rounds, figure, above, below)), 3)


def spread(found):
    """The median of ratios, the quartiles that they lie between, and whether they are more than rounds differ by."""
    low, _, high = statistics.quantiles(found, n=4, method="inclusive") if len(found) > 1 else found * 3
    more, less = (sum(side) for side in zip(*((ratio > 1, ratio < 1) for ratio in found)))
    told = {"median": statistics.median(found), "lower_quartile": low, "upper_quartile": high}
    rounded = {name: round(ratio, 3) for name, ratio in told.items()}
    return rounded | {"more": more, "less": less, "rounds": len(found), "differs": chance(more, less) < CHANCE}


def told(spread, word):
    """A spread for eyes: `word` is what a ratio above 1 means."""
    between = f"{spread['lower_quartile']:.3f} to {spread['upper_quartile']:.3f}"
    few = chance(spread["rounds"], 0) >= CHANCE
    verdict = "differs" if spread["differs"] else "too few rounds to tell" if few else "no more than rounds differ"
    return f"{spread['median']:.3f} times ({between}), {word} in {spread['more']} of {spread['rounds']} rounds: {verdict}"


def chance(more, less):
    """How often rounds of equals would be as unanimous as these (sign test, both sides; ties tell nothing)."""
    sides = more + less
    return min(1.0, 2 * sum(math.comb(sides, number) for number in range(min(more, less) + 1)) / 2**sides)
