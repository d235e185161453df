"""What a process executes, sampled with perf: each sample is the function it was taken in, and those that called it.

A compiler puts functions into their callers, and these into theirs. The debug information (the release has line tables)
says of which function, file and line an instruction was; perf's own table only knows where it ended up. What has none,
as the C library, is told by its callers: every sample brings a piece of the stack along.
"""

import collections
import pathlib
import re
import signal
import subprocess
import tempfile
import typing

import processes
import wrk

# perf's own clock, which every machine has. A kilobyte of stack reaches the callers of what the C library does, and does
# not shift the shares: the kernel's was 54.1 % with it and 54.7 % without, of 10,000 samples each.
RECORD = ["perf", "record", "-q", "-e", "cpu-clock", "-F", "1999", "--call-graph", "dwarf,1024"]
SCRIPT = ["perf", "script", "--no-inline", "--show-mmap-events", "-F", "ip,sym,dso"]

KERNEL, NOBODY = 1 << 63, (1 << 64) - 1
# Of a path, the crate and the file in it: from a registry, from git, of the standard library and what that is made of.
# What is left is ours.
FILES = [
    r"/registry/src/[^/]*/(.+?)-\d[^/]*/(.*)",
    r"/git/checkouts/(.+)-[0-9a-f]+/[^/]*/(.*)",
    r"/library/(core|alloc|std)/(.*)",
    r"/rust/deps/(.+?)-\d[^/]*/(.*)",
    r"(?:^|.*/)(crates/[^/]+/src/.*)",
    r"(?:^|.*/)(src/.*)",
]


class Frame(typing.NamedTuple):
    """A function, and where it is: a file of ours by its path, another by its crate first; the kernel, or a library."""

    function: str
    file: str
    line: int = 0


def record(server, core, seconds):
    """The samples of some seconds under load: frames, the innermost first, and how many samples had them."""
    with tempfile.TemporaryDirectory() as folder:
        file = str(pathlib.Path(folder) / "perf.data")
        command = processes.pinned(core, [*RECORD, "-o", file, "-p", str(server.pid)])
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as recording:
            try:
                wrk.load(server, core, seconds)
            finally:
                recording.send_signal(signal.SIGINT)
        text = subprocess.run([*SCRIPT, "-i", file], check=True, capture_output=True, text=True).stdout
    return read(text, pathlib.Path(f"/proc/{server.pid}/exe").resolve())


def read(text, binary):
    """The samples in what perf wrote, with what was put into each other in this program taken apart."""
    loaded, stacks = parse(text, str(binary))
    addresses = {frame for stack in stacks for frame in stack if isinstance(frame, int)}
    known = resolve(binary, {address: in_file(address, loaded) for address in addresses})
    whole = collections.Counter()
    for stack, samples in stacks.items():
        frames = [known.get(frame, []) if isinstance(frame, int) else [frame] for frame in stack]
        whole[tuple(sum(frames, []))] += samples
    return whole


def parse(text, binary):
    """Where the program lies in memory, and the stacks: addresses of the program, frames of all else."""
    loaded, stacks, stack = [], collections.Counter(), []
    for line in [*text.splitlines(), ""]:
        mapped = re.search(r"PERF_RECORD_MMAP2? .*\[0x(\w+)\(0x(\w+)\) @ (?:0x)?(\w+) .* r-xp (.*)$", line)
        called = re.match(r"\s+([0-9a-f]+) (.*) \((.*)\)$", line)
        if mapped and mapped[4] == binary:
            loaded.append(tuple(int(number, 16) for number in mapped.groups()[:3]))
        elif called and int(called[1], 16) != NOBODY:
            address, function, library = int(called[1], 16), called[2], called[3]
            if library == binary:
                stack.append(address)
            else:
                stack.append(Frame(function, "kernel" if address >= KERNEL else pathlib.Path(library).name))
        elif stack and not line.strip():
            stacks[tuple(stack)] += 1
            stack = []
    return loaded, stacks


def in_file(address, loaded):
    """Where in its file an address is; some versions of perf say just that."""
    for start, length, offset in loaded:
        if start <= address < start + length:
            return address - start + offset
    return address


def resolve(binary, offsets):
    """The functions at each of these addresses, the innermost first, by where in the file they are."""
    loads = re.findall(r"LOAD +(\w+) (\w+) \w+ (\w+)", output(["readelf", "-lW", binary]))
    segments = [tuple(int(number, 16) for number in load) for load in loads]
    places = {}
    for address, offset in offsets.items():
        for begin, virtual, size in segments:
            if begin <= offset < begin + size:
                places.setdefault(virtual + offset - begin, []).append(address)
    asked = "".join(f"{place:#x}\n" for place in places)
    known, frames = {}, []
    told = iter(output(["addr2line", "-e", binary, "-a", "-f", "-i", "-C"], asked).splitlines())
    for line in told:
        if re.fullmatch(r"0x[0-9a-f]+", line):
            frames = []
            known |= dict.fromkeys(places[int(line, 16)], frames)
        else:
            frames.append(frame(line, next(told), binary.name))
    return known


def frame(function, place, program):
    """A function in a file and its line, as addr2line says them."""
    path, _, line = place.split(" (discriminator")[0].rpartition(":")
    line = int(line) if line.isdecimal() else 0
    for pattern in FILES:
        found = re.search(pattern, path)
        if found:
            return Frame(function, "/".join(found.groups()), line)
    return Frame(function, program, line)


def output(command, told=None):
    """What a command says when it is told this."""
    return subprocess.run(command, input=told, check=True, capture_output=True, text=True).stdout
