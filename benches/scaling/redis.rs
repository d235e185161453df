//! A Redis server of the bench's own, on a free port and gone with it, and what it says of itself.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::ops::Sub;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// A running server, with a connection to ask it.
pub struct Redis {
    process: Child,
    port: u16,
    asked: BufReader<TcpStream>,
    /// What asking adds to what it says.
    own: Usage,
    _folder: TempDir,
}

/// What a server has done since its start.
#[derive(Clone, Debug, Default)]
pub struct Usage {
    /// Commands, those inside scripts included.
    pub commands: f64,
    /// Readings from connections: one for each round trip, when nobody sends ahead.
    pub trips: f64,
    /// Processor time, in microseconds.
    pub micros: f64,
    /// Bytes in and out.
    pub bytes: f64,
    /// Bytes held.
    pub memory: f64,
    /// Commands by name.
    pub by_name: BTreeMap<String, f64>,
}

impl Redis {
    /// With the log of writes that a store wants, in memory otherwise.
    pub fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
        let number = port.to_string();
        let words = ["--pdeathsig", "KILL", "--", "redis-server", "--bind", "127.0.0.1", "--port", &number];
        let settings = ["--save", "", "--appendonly", "yes", "--appendfsync", "everysec"];
        let process = Command::new("setpriv")
            .args(words)
            .args(settings)
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("setpriv and redis-server are needed: apt-get install util-linux redis-server");
        let asked = BufReader::new(connect(port));
        let mut redis = Self { process, port, asked, own: Usage::default(), _folder: folder };
        let (before, after) = (redis.usage(), redis.usage());
        redis.own = Usage { memory: 0.0, ..after - before };
        redis
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Another connection, to say something over it.
    pub fn connect(&self) -> TcpStream {
        connect(self.port)
    }

    /// What it has done so far, without the asking.
    pub fn usage(&mut self) -> Usage {
        self.asked.get_mut().write_all(b"INFO everything\r\n").unwrap();
        let mut head = String::new();
        self.asked.read_line(&mut head).unwrap();
        let length: usize = head.trim().trim_start_matches('$').parse().unwrap();
        let mut text = vec![0; length + 2];
        self.asked.read_exact(&mut text).unwrap();
        Usage::parse(&String::from_utf8(text).unwrap())
    }

    /// What it did while `work` was done.
    pub async fn during<F: Future>(&mut self, work: F) -> (Usage, F::Output) {
        let before = self.usage();
        let done = work.await;
        (self.usage() - before - self.own.clone(), done)
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn connect(port: u16) -> TcpStream {
    let end = Instant::now() + Duration::from_secs(30);
    loop {
        if let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port))
            && stream.write_all(b"PING\r\n").is_ok()
        {
            let mut answer = [0; 7];
            stream.read_exact(&mut answer).unwrap();
            assert_eq!(&answer, b"+PONG\r\n");
            return stream;
        }
        assert!(Instant::now() < end, "redis-server does not answer");
        std::thread::sleep(Duration::from_millis(20));
    }
}

impl Usage {
    fn parse(info: &str) -> Self {
        let fields: BTreeMap<&str, &str> = info.lines().filter_map(|line| line.split_once(':')).collect();
        let number = |name: &str| -> f64 { fields[name].parse().unwrap() };
        let calls = |(name, value): (&&str, &&str)| {
            let calls = value.strip_prefix("calls=")?.split(',').next()?;
            Some((name.strip_prefix("cmdstat_")?.to_owned(), calls.parse().ok()?))
        };
        Self {
            commands: number("total_commands_processed"),
            trips: number("total_reads_processed"),
            micros: 1e6 * (number("used_cpu_user_main_thread") + number("used_cpu_sys_main_thread")),
            bytes: number("total_net_input_bytes") + number("total_net_output_bytes"),
            memory: number("used_memory"),
            by_name: fields.iter().filter_map(calls).collect(),
        }
    }
}

impl Sub for Usage {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        let less = |name: &str| other.by_name.get(name).copied().unwrap_or_default();
        let by_name = self.by_name.iter().map(|(name, calls)| (name.clone(), calls - less(name)));
        Self {
            commands: self.commands - other.commands,
            trips: self.trips - other.trips,
            micros: self.micros - other.micros,
            bytes: self.bytes - other.bytes,
            memory: self.memory - other.memory,
            by_name: by_name.filter(|(_, calls)| *calls != 0.0).collect(),
        }
    }
}
