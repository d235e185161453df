//! Mutated requests (T-224): valid ones, damaged by a seeded grammar mutator, over raw sockets.
//!
//! Whatever comes, the server answers well-formed HTTP or closes: no panic, no 5xx, no growth. The seed is printed
//! with a failure; `JETON_TEST_SEED` repeats a run and `JETON_TEST_MUTATIONS` makes it longer.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::support::{Answer, Client, GENEROUS, GRANT, Home, Server, count};

const THREADS: usize = 4;
/// What a mutation likes to put where it does not belong.
const TOKENS: &[&[u8]] = &[
    b"\r\n",
    b"\n",
    b"\r",
    b"\0",
    b" ",
    b"\t",
    b":",
    b";",
    b",",
    b"=",
    b"&",
    b"%",
    b"%00",
    b"%zz",
    b"%ff",
    b"+",
    b"\"",
    b"\x7f",
    b"\x80",
    b"\xc3\x28",
    b"\xf0\x9f\x92\xa9",
    b"\xed\xa0\x80",
    b"Content-Length: 0\r\n",
    b"Content-Length: 5\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Host: y\r\n",
    b"Expect: 100-continue\r\n",
    b"Connection: close\r\n",
    b"Authorization: Basic YTpi\r\n",
    b"Content-Encoding: gzip\r\n",
    b"grant_type=client_credentials",
    b"scope=read+write",
    b"client_secret=x",
    b"client_assertion=x",
    b"resource=https://a/",
    b"HTTP/1.0",
    b"HTTP/2.0",
    b"18446744073709551616",
    b"-1",
    b"0x10",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
];

/// A small generator of its own (`SplitMix64`), so that a seed means the same for ever.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(bound.max(1)).unwrap()).unwrap()
    }

    fn one_of<'a, T: ?Sized>(&mut self, items: &[&'a T]) -> &'a T {
        items[self.below(items.len())]
    }
}

/// Damages `bytes` in one of the ways of the trade.
fn damage(random: &mut Random, bytes: &mut Vec<u8>) {
    let (at, end) = (random.below(bytes.len() + 1), random.below(bytes.len() + 1));
    let (from, to) = (at.min(end), at.max(end).min(at.min(end) + 40));
    match random.below(8) {
        0 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
        1 if at < bytes.len() => bytes[at] = u8::try_from(random.below(256)).unwrap(),
        2 => drop(bytes.drain(from..to)),
        3 => {
            let copy = bytes[from..to].to_vec();
            bytes.splice(from..from, copy);
        }
        4 => bytes.truncate(at),
        5 => {
            let copy = vec![*bytes.get(at).unwrap_or(&b'a'); random.below(3000)];
            bytes.splice(at..at, copy);
        }
        _ => drop(bytes.splice(at..at, random.one_of(TOKENS).iter().copied())),
    }
}

fn damaged(random: &mut Random, text: &str, chance: usize) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    if random.below(chance) == 0 {
        for _ in 0..=random.below(3) {
            damage(random, &mut bytes);
        }
    }
    bytes
}

/// A request whose parts are each valid, or damaged before they are put together, so that the damage reaches the
/// parser of its part; now and then the whole is damaged as well.
fn request(random: &mut Random, client: &Client) -> Vec<u8> {
    let line = random.one_of(&[
        "POST /oauth2/token HTTP/1.1",
        "POST /oauth2/token HTTP/1.1",
        "POST /oauth2/token HTTP/1.0",
        "GET /.well-known/jwks.json HTTP/1.1",
        "GET /.well-known/oauth-authorization-server HTTP/1.1",
    ]);
    let pair = damaged(random, &format!("{}:{}", client.id, client.secret), 4);
    let basic = damaged(random, &format!("Basic {}", STANDARD.encode(pair)), 5);
    let form = random.one_of(&[
        "",
        "&scope=read",
        "&scope=read+write&resource=https://api.example.com",
        "&resource=https://api.example.com&audience=https://other.example.com",
        "&client_id=x&client_secret=y",
        "&unknown=%E2%82%AC&x",
    ]);
    let mut form = damaged(random, &format!("{GRANT}{form}"), 3);
    let kind = damaged(random, "application/x-www-form-urlencoded", 12);
    let mut head = [&damaged(random, line, 10), b"\r\nHost: ".as_slice(), &damaged(random, "x", 12)].concat();
    if random.below(5) > 0 {
        head.extend([b"\r\nAuthorization: ", basic.as_slice()].concat());
    }
    head.extend([b"\r\nContent-Type: ", kind.as_slice()].concat());
    if random.below(4) == 0 {
        head.extend(b"\r\nTransfer-Encoding: chunked");
        let size = damaged(random, &format!("{:x}", form.len()), 6);
        form = [&size, b"\r\n".as_slice(), &form, b"\r\n0\r\n\r\n"].concat();
    } else {
        let length = damaged(random, &form.len().to_string(), 8);
        head.extend([b"\r\nContent-Length: ", length.as_slice()].concat());
    }
    let mut whole = [head, b"\r\n\r\n".to_vec(), form].concat();
    if random.below(4) == 0 {
        damage(random, &mut whole);
    }
    whole
}

/// Sends one request and reads all that comes back; counts an early 503 as "try again".
fn exchange(server: &Server, bytes: &[u8]) -> Result<Vec<Answer>, String> {
    for _ in 0..50 {
        let mut wire = server.wire();
        wire.send(bytes);
        wire.shutdown_write();
        let answers = well_formed(&wire.rest())?;
        if !answers.iter().any(|answer| answer.status == 503) {
            return Ok(answers);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Err("refused as busy again and again".to_owned())
}

/// Splits what came into answers; anything that a strict client would not accept is an error.
fn well_formed(mut bytes: &[u8]) -> Result<Vec<Answer>, String> {
    let mut answers = Vec::new();
    // HTTP/2 frames begin with their length: settings of less than 256 bytes.
    while !bytes.is_empty() && bytes[0] != 0 {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").ok_or("no end of a head")?;
        let head = std::str::from_utf8(&bytes[..end]).map_err(|_| "a head that is no text")?.to_owned();
        bytes = &bytes[end + 4..];
        let line = head.lines().next().unwrap_or_default();
        let status = line.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..5)?.parse::<u16>().ok());
        let status = status.ok_or_else(|| format!("no status line: {line}"))?;
        if head
            .lines()
            .skip(1)
            .any(|line| line.split_once(": ").is_none_or(|(name, _)| name.is_empty() || name.contains(' ')))
        {
            return Err(format!("a malformed header line: {head}"));
        }
        let mut answer = Answer { status, head, body: Vec::new() };
        if status >= 200 {
            let length = answer.header("content-length").and_then(|text| text.parse::<usize>().ok());
            let length = length.ok_or_else(|| format!("no length: {}", answer.head))?;
            if bytes.len() < length {
                return Err(format!("a body cut short: {}", answer.head));
            }
            answer.body = bytes[..length].to_vec();
            bytes = &bytes[length..];
            serde_json::from_slice::<serde_json::Value>(&answer.body)
                .map_err(|_| format!("no JSON: {}", answer.text()))?;
        }
        answers.push(answer);
    }
    Ok(answers)
}

/// Runs the mutations `from..to` and counts how they ended, by the hundreds of the status; 0 is no answer.
fn mutate(server: &Server, client: &Client, seed: u64, (from, to): (usize, usize)) -> [usize; 6] {
    let mut ends = [0; 6];
    for at in from..to {
        // Each request has a seed of its own: a failure is repeated without its predecessors.
        let mut random = Random(seed ^ u64::try_from(at).unwrap().wrapping_mul(0xD6E8_FEB8_6659_FD93));
        let bytes = request(&mut random, client);
        let shown = || format!("JETON_TEST_SEED={seed}, mutation {at}: {:?}", String::from_utf8_lossy(&bytes));
        let answers = exchange(server, &bytes).unwrap_or_else(|error| panic!("{error}\n{}", shown()));
        let last = answers.last().map_or(0, |answer| answer.status);
        assert!(answers.iter().all(|answer| (100..500).contains(&answer.status)), "{last}\n{}", shown());
        ends[usize::from(last / 100)] += 1;
    }
    ends
}

#[test]
#[expect(clippy::print_stdout, reason = "the figures of a long run, and the seed of a failed one")]
fn t224_mutated_requests_neither_break_nor_grow_the_server() {
    let seed = std::env::var("JETON_TEST_SEED").map_or_else(|_| rand::random(), |text| text.parse().unwrap());
    let mutations = count("JETON_TEST_MUTATIONS", 20_000);
    let home = Home::new();
    let client = home.usual_client();
    let server = home.serve(&format!("{GENEROUS}head_deadline = \"1s\"\nbody_deadline = \"1s\"\n"));
    let run = |share: usize, of: usize| {
        std::thread::scope(|scope| {
            let bounds = |n: usize| share + of * n / THREADS;
            let threads: Vec<_> = (0..THREADS)
                .map(|n| (bounds(n), bounds(n + 1)))
                .map(|bounds| (&server, &client, bounds))
                .map(|(server, client, bounds)| scope.spawn(move || mutate(server, client, seed, bounds)))
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).fold([0; 6], |mut sum, ends| {
                sum.iter_mut().zip(ends).for_each(|(sum, end)| *sum += end);
                sum
            })
        })
    };
    let warm = mutations / 4;
    let first = run(0, warm);
    let memory = server.memory();
    let ends = run(warm, mutations - warm);
    println!("seed {seed}: {first:?}, then {ends:?} by hundreds; {memory} KiB, then {} KiB", server.memory());
    // Not all refused at the door and not all harmless: the mutator reaches every stage.
    assert!(ends[2] > 0 && ends[4] > ends[2] / 100, "seed {seed}: {ends:?}");
    assert!(server.memory() < memory + 8192, "seed {seed}: grew from {memory} to {} KiB", server.memory());
    let log = server.log_text();
    assert!(!log.contains("panicked") && !log.contains("\"level\":\"ERROR\""), "seed {seed}: {log}");
    assert_eq!(server.ask(&client, GRANT).status, 200);
}
