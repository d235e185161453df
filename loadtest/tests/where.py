"""What `where` makes of samples that are made up, and of a program that is not."""

import collections
import pathlib
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

import parts
import samples
from samples import Frame

COPY = Frame("__memmove_avx512_unaligned_erms", "libc.so.6")
LOOP = Frame("poll", "tokio/src/runtime/task/raw.rs", 9)
ANSWER = Frame("jeton::http::express::answer::{{closure}}", "src/http/express/mod.rs", 12)
MADD = Frame("madd_low", parts.INSTRUCTIONS, 7)

# Who was at work, the innermost first, and what that is.
STACKS = [
    ([COPY, Frame("push_payload", "src/jwt/claims.rs", 83), ANSWER, LOOP], "token and reply written", None),
    ([Frame("ct_eq", "subtle/src/lib.rs", 1), Frame("matches", "src/oauth/secret.rs", 84), ANSWER],
     "client found, secret compared", "comparison of digests"),
    ([Frame("compress", "sha2/src/x86.rs", 1), Frame("hash", "src/oauth/secret.rs", 133), ANSWER],
     "client found, secret compared", "digest of the secret"),
    ([Frame("decode", "base64/src/engine/mod.rs", 1), Frame("decode", "src/oauth/client_auth.rs", 65), ANSWER],
     "request read and parsed", None),
    ([MADD, Frame("round", "crates/ed25519-lanes/src/sha512.rs", 195), Frame("sign", "src/jwt/queue.rs", 86)],
     "signature", "SHA-512"),
    ([Frame("__vdso_clock_gettime", "[vdso]"), Frame("clock_gettime", "libc.so.6"), ANSWER], "clocks and metrics", None),
    ([Frame("note", "src/http/token.rs", 48), ANSWER], "clocks and metrics", None),
    ([Frame("tcp_sendmsg", "kernel"), Frame("__x64_sys_sendto", "kernel"), Frame("__send", "libc.so.6"), LOOP],
     parts.KERNEL.name, "send"),
    ([Frame("tcp_sendmsg", "kernel"), Frame("do_writev", "kernel")], parts.KERNEL.name, "send"),
    ([Frame("__slab_free", "kernel"), Frame("do_epoll_wait", "kernel"), LOOP], parts.KERNEL.name, "wait for events"),
    ([LOOP, ANSWER], "event loop and connection", None),
    ([COPY, ANSWER], "event loop and connection", None),
    ([Frame("sqlite3VdbeExec", "libsqlite3-sys/sqlite3/sqlite3.c", 5), LOOP], "everything else", None),
    ([COPY], "everything else", None),
]

PERF = """
PERF_RECORD_MMAP2 7/7: [0x400000(0x1000) @ 0 fe:00 1 0]: r--p {binary}
PERF_RECORD_MMAP2 7/7: [0x401000(0x1000) @ 0x1000 fe:00 1 0]: r-xp {binary}
PERF_RECORD_MMAP2 7/7: [0x7f0000001000(0x2000) @ 0 00:00 0 0]: r-xp [vdso]
\tffffffff82010ddb tcp_sendmsg ([kernel.kallsyms])
\t          10aba4 __send (/usr/lib/x86_64-linux-gnu/libc.so.6)
\t{outer} outer ({binary})
\tffffffffffffffff [unknown] ([unknown])

\t{outer} outer ({binary})
\t          {caller} main ({binary})

"""

PROGRAM = """volatile int count;
static inline __attribute__((always_inline)) void inner(void) { count++; }
void outer(void) { inner(); }
int main(void) { outer(); }
"""


class Parts(unittest.TestCase):
    def test_a_sample_counts_with_the_innermost_function_that_a_part_knows(self):
        for frames, name, piece in STACKS:
            table = parts.spent(collections.Counter({tuple(frames): 3}), parts.JETON, 600)
            spent = {part: row["ns"] for part, row in table.items() if row["ns"]}
            pieces = {piece: nanos for row in table.values() for piece, nanos in row["pieces"].items() if nanos}
            self.assertEqual((spent, pieces), ({name: 600}, {piece: 600} if piece else {}), frames)

    def test_parts_are_shares_of_a_reply(self):
        taken = collections.Counter({tuple(frames): 10 for frames, _, _ in STACKS})
        table = parts.spent(taken, parts.JETON, 1400)
        self.assertAlmostEqual(sum(row["ns"] for row in table.values()), 1400)
        self.assertAlmostEqual(table[parts.KERNEL.name]["ns"], 300)
        nginx = parts.spent(taken, parts.NGINX, 1400)
        self.assertAlmostEqual(nginx["nginx itself"]["ns"], 1100)

    def test_a_line_is_ours_and_has_what_it_asks_of_others_but_not_what_it_asks_of_the_kernel(self):
        unknown = Frame("answer", "src/http/express/mod.rs", 0)
        taken = collections.Counter(tuple(frames) for frames in [*(stack[0] for stack in STACKS), (unknown, ANSWER)])
        lines = parts.by_line(taken, 15)
        self.assertEqual(lines[0], (("src/http/express/mod.rs", 12), 4))
        self.assertEqual(dict(lines)["src/jwt/claims.rs", 83], 1)
        self.assertEqual(dict(lines)["crates/ed25519-lanes/src/sha512.rs", 195], 1)
        self.assertNotIn(parts.INSTRUCTIONS, [file for (file, _), _ in lines])
        self.assertEqual(sum(nanos for _, nanos in lines), 10)


class Samples(unittest.TestCase):
    def test_paths_are_ours_or_those_of_a_crate(self):
        registry = "/a/.cargo/registry/src/index.example-6f17"
        for path, file in [
            ("/a/src/jeton/src/jwt/queue.rs", "src/jwt/queue.rs"),
            ("src/jwt/queue.rs", "src/jwt/queue.rs"),
            ("/a/jeton/crates/ed25519-lanes/src/field.rs", "crates/ed25519-lanes/src/field.rs"),
            (f"{registry}/sha2-0.11.1-rc.2/src/lib.rs", "sha2/src/lib.rs"),
            (f"{registry}/libsqlite3-sys-0.40.0/sqlite3/sqlite3.c", "libsqlite3-sys/sqlite3/sqlite3.c"),
            ("/rustc/59807616e1fa/library/core/src/slice/mod.rs", "core/src/slice/mod.rs"),
            ("/rust/deps/hashbrown-0.16.1/src/map.rs", "hashbrown/src/map.rs"),
            ("??", "jeton"),
        ]:
            self.assertEqual(samples.frame("f", f"{path}:12 (discriminator 3)", "jeton"), Frame("f", file, 12))
        self.assertEqual(samples.frame("f", "??:?", "jeton"), Frame("f", "jeton", 0))

    def test_what_was_put_into_its_caller_is_told_from_it_wherever_the_program_was_loaded(self):
        with tempfile.TemporaryDirectory() as folder:
            source, binary = pathlib.Path(folder) / "src/count.c", pathlib.Path(folder) / "count"
            source.parent.mkdir()
            source.write_text(PROGRAM)
            subprocess.run(["cc", "-g", "-no-pie", "-o", binary, source], check=True)
            symbols = {line.split()[-1]: line.split() for line in samples.output(["nm", "-S", binary]).splitlines()}
            start, size = (int(number, 16) for number in symbols["outer"][:2])
            caller = int(symbols["main"][0], 16) - 0x400000
            seen = collections.Counter()
            for address in range(start, start + size):
                seen += samples.read(PERF.format(binary=binary, outer=f"{address:x}", caller=f"{caller:x}"), binary)
        inner, outer = Frame("inner", "src/count.c", 2), Frame("outer", "src/count.c", 3)
        kernel = (Frame("tcp_sendmsg", "kernel"), Frame("__send", "libc.so.6"))
        self.assertEqual(seen.total(), 2 * size)
        self.assertIn((*kernel, inner, outer), seen)
        self.assertIn((inner, outer, Frame("main", "src/count.c", 4)), seen)
        self.assertIn((*kernel, outer), seen)


unittest.main()
