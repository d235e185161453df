//! What breaks things: processes that are killed or traced, full and read-only file systems, and load meanwhile.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use jeton::admin::{Admin, ClientChange};
use jeton::clock::Clock;
use jeton::config::{Config, RawConfig, master_key};
use jeton::oauth::Scope;
use jeton::store::{OpenMode, Store};
use tempfile::TempDir;

use super::{Answer, Client, GRANT, Home, Server, Wire, need};

/// A file system of its own, of a given size.
pub struct Tmpfs {
    folder: TempDir,
}

impl Tmpfs {
    pub fn mount(size: &str) -> Self {
        need("mount");
        let tmpfs = Self { folder: tempfile::tempdir().unwrap() };
        tmpfs.run("mount", &["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"]);
        tmpfs
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn remount(&self, option: &str) {
        self.run("mount", &["-o", &format!("remount,{option}")]);
    }

    fn run(&self, program: &str, arguments: &[&str]) {
        let output = Command::new(program).args(arguments).arg(self.path()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "this test mounts a file system, which needs root: {said}");
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}

impl Home {
    /// A store in a folder that somebody else owns.
    pub fn within(folder: &Path) -> Self {
        Self { database: folder.join("jeton.db"), ..Self::new() }
    }

    pub fn beside(&self, suffix: &str) -> PathBuf {
        let mut name = self.database.as_os_str().to_owned();
        name.push(suffix);
        name.into()
    }

    pub fn master_key(&self) -> PathBuf {
        if self.elsewhere.is_some() { self.folder.path().join("master-key") } else { self.beside(".master-key") }
    }

    /// The store as a command opens it.
    pub fn store(&self) -> Arc<dyn Store> {
        let mut raw = RawConfig::default();
        match &self.elsewhere {
            Some(elsewhere) => raw.read_environment(elsewhere.environment.iter().cloned()).unwrap(),
            None => raw.set_flag("store.url", Some(self.url()), "--store").unwrap(),
        }
        let config = Config::from_raw(&raw).unwrap();
        let options = master_key::store_options(&config).unwrap();
        config.store.url.open_with(OpenMode::MustExist, &options).unwrap()
    }

    /// What commands do, without a process for each.
    pub fn admin(&self, store: &Arc<dyn Store>) -> Admin {
        Admin::new(Arc::clone(store), master_key::read(&self.master_key()).unwrap(), Clock::System.now())
    }

    /// Registers clients quickly, without a command for each. The store must have been initialised.
    pub fn add_clients(&self, count: usize) -> Vec<Client> {
        let admin = self.admin(&self.store());
        let add = || async {
            let scope = Some(Scope::parse("read write").unwrap());
            let change = ClientChange { name: Some("x".repeat(200)), scope, ..ClientChange::default() };
            let (client, secret) = admin.add_client(change).await.unwrap();
            Client {
                id: client.id.to_string(),
                secret: secret.secret.expose().to_owned(),
                secret_id: secret.id.to_string(),
            }
        };
        block_on(async {
            let mut clients = Vec::new();
            for _ in 0..count {
                clients.push(add().await);
            }
            clients
        })
    }

    /// A start that must be refused: what it said, and how it ended.
    pub fn refused_start(&self, alter: impl FnOnce(&mut Command) -> &mut Command) -> Refusal {
        let mut command = super::jeton();
        command.args(["serve", "--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0", "--store", &self.url()]);
        alter(&mut command);
        let started = Instant::now();
        let mut process = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let status = end_of(&mut process);
        let took = started.elapsed();
        let output = process.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.stdout.is_empty(), "{}", String::from_utf8_lossy(&output.stdout));
        Refusal { status, said, took }
    }
}

/// How a program refused to start.
#[derive(Debug)]
pub struct Refusal {
    pub status: ExitStatus,
    pub said: String,
    pub took: Duration,
}

impl Refusal {
    /// It ended by itself with this code, soon, and said one line.
    pub fn expect(&self, code: i32, part: &str, what: &str) {
        assert_eq!(self.status.code(), Some(code), "{what}: {}", self.said);
        assert!(self.said.contains(part), "{what}: {} lacks '{part}'", self.said);
        let lines: Vec<&str> = self.said.lines().collect();
        assert!(lines.len() == 1 && lines[0].starts_with("jeton: "), "{what}: one clear line, not {lines:?}");
        assert!(self.took < Duration::from_secs(5), "{what}: took {:?}", self.took);
    }
}

/// Waits for a process; one that never ends is killed, and a failure.
pub fn end_of(process: &mut Child) -> ExitStatus {
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        if let Some(status) = process.try_wait().unwrap() {
            return status;
        }
        if Instant::now() > end {
            let _ = process.kill();
            panic!("the process never ended");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

impl Server {
    /// Ends the server by a signal and gives its folder back.
    pub fn end_by(mut self, signal: &str) -> (Home, ExitStatus) {
        self.signal(signal);
        let status = self.wait_for_end();
        (std::mem::replace(&mut self.home, Home::new()), status)
    }

    pub fn wait_until_ready(&self, is_ready: bool) {
        let status = if is_ready { 200 } else { 503 };
        super::wait_for("/readyz changes", || (self.ops("/readyz").status == status).then_some(()));
    }
}

/// A part of a test that runs in a process of its own: an ignored test of this binary, by its whole name.
pub struct Helper {
    pub process: Child,
    pub lines: Arc<Mutex<Vec<String>>>,
    reader: Option<JoinHandle<()>>,
}

impl Drop for Helper {
    fn drop(&mut self) {
        self.kill_group();
    }
}

impl Helper {
    /// `wrapper` is put before the command, as `strace …` is. Each line of the helper that begins with a `#` is
    /// kept, and, if there is a `log`, on the disk before the next one is read.
    pub fn start(name: &str, wrapper: &[&str], environment: &[(&str, &str)], log: Option<&Path>) -> Self {
        let own = std::env::current_exe().unwrap();
        let mut words: Vec<std::ffi::OsString> = wrapper.iter().map(Into::into).collect();
        words.push(own.into());
        words.extend(["--exact", name, "--ignored", "--nocapture", "--test-threads=1"].map(Into::into));
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).envs(environment.iter().copied()).stdin(Stdio::null()).process_group(0);
        let mut process = command.stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap();
        let lines = Arc::new(Mutex::new(Vec::new()));
        let (output, kept) = (process.stdout.take().unwrap(), Arc::clone(&lines));
        let log = log.map(|path| std::fs::OpenOptions::new().create(true).append(true).open(path).unwrap());
        let reader = std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                // What the test harness prints before may share the first line.
                let Some((_, said)) = line.split_once('#') else { continue };
                if let Some(mut log) = log.as_ref() {
                    log.write_all(format!("{said}\n").as_bytes()).unwrap();
                    log.sync_data().unwrap();
                }
                kept.lock().unwrap().push(said.to_owned());
            }
        });
        Self { process, lines, reader: Some(reader) }
    }

    pub fn said(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }

    /// Kills it as a crash would; everything it had said is there afterwards.
    pub fn kill(mut self) -> Vec<String> {
        self.kill_group();
        self.all_said()
    }

    /// Waits for its end, which must be a good one.
    pub fn finish(mut self) -> Vec<String> {
        let status = end_of(&mut self.process);
        let lines = self.all_said();
        assert!(status.success(), "{status}: {lines:?}");
        lines
    }

    /// With it goes whatever wraps it: a tracer alone would leave the traced behind.
    fn kill_group(&mut self) {
        let group = format!("-{}", self.process.id());
        let _ = Command::new("kill").args(["-KILL", "--", &group]).stderr(Stdio::null()).status();
        let _ = self.process.wait();
    }

    fn all_said(&mut self) -> Vec<String> {
        self.reader.take().unwrap().join().unwrap();
        self.said()
    }
}

/// What a helper says; only that is heard. One write, so that a kill leaves whole lines.
pub fn say(line: &str) {
    let mut output = std::io::stdout().lock();
    output.write_all(format!("#{line}\n").as_bytes()).unwrap();
    output.flush().unwrap();
}

/// Requests for tokens by several connections, until it is stopped.
pub struct Load {
    stop: Arc<AtomicBool>,
    answers: Arc<AtomicUsize>,
    threads: Vec<JoinHandle<Counts>>,
}

/// What a load saw.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    pub issued: usize,
    /// Other answers, by status.
    pub refused: Vec<u16>,
    /// Requests that were sent and never answered.
    pub unanswered: usize,
    pub slowest: Duration,
}

impl Load {
    /// Connections that are opened anew when the server says that it closes them.
    pub fn start(address: &str, client: &Client, connections: usize) -> Self {
        let (stop, answers) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let run = || {
            let (stop, answers) = (Arc::clone(&stop), Arc::clone(&answers));
            let (address, basic) = (address.to_owned(), client.basic());
            std::thread::spawn(move || {
                let mut counts = Counts::default();
                let mut wire = Wire::connect(&address);
                while !stop.load(Ordering::Relaxed) {
                    let started = Instant::now();
                    wire.post("/oauth2/token", &[("Authorization", &basic)], GRANT);
                    let answer = wire.try_answer(true);
                    counts.note(answer.as_ref(), started.elapsed());
                    answers.fetch_add(1, Ordering::Relaxed);
                    if answer.is_none_or(|answer| answer.header("connection") == Some("close")) {
                        wire = Wire::connect(&address);
                    }
                }
                counts
            })
        };
        Self { threads: (0..connections).map(|_| run()).collect(), stop, answers }
    }

    /// Until this many more answers have come.
    pub fn wait_for(&self, answers: usize) {
        let before = self.answers.load(Ordering::Relaxed);
        let more = || (self.answers.load(Ordering::Relaxed) >= before + answers).then_some(());
        super::wait_for("answers under load", more);
    }

    pub fn stop(self) -> Counts {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = Counts::default();
        for thread in self.threads {
            let counts = thread.join().unwrap();
            all.issued += counts.issued;
            all.refused.extend(counts.refused);
            all.unanswered += counts.unanswered;
            all.slowest = all.slowest.max(counts.slowest);
        }
        all
    }
}

/// A process that ends with its test.
pub struct Killed(pub Child);

impl Killed {
    /// `strace` with these arguments, once it looks after all threads of a server.
    pub fn tracing(server: &Server, arguments: &[&str]) -> Self {
        need("strace");
        let mut command = Command::new("strace");
        command.args(["-f", "-qq", "-o", "/dev/null"]).args(arguments);
        let tracing = Self(command.args(["-p", &server.process.id().to_string()]).spawn().unwrap());
        let is_traced = |task: std::io::Result<std::fs::DirEntry>| {
            let status = std::fs::read_to_string(task.unwrap().path().join("status")).unwrap_or_default();
            !status.contains("TracerPid:\t0\n")
        };
        super::wait_for("the server is traced", || {
            let mut tasks = std::fs::read_dir(format!("/proc/{}/task", server.process.id())).unwrap();
            tasks.all(is_traced).then_some(())
        });
        tracing
    }
}

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Where a server can be stopped and started again: no outgoing connection takes the port meanwhile.
pub fn free_address() -> String {
    format!("127.0.0.1:{}", super::nursery::free_port())
}

impl Counts {
    /// Every request was answered, and nearly all with a token: a machine that is busy with other tests may make
    /// the server shed a few.
    pub fn expect_served(&self, what: &str) {
        assert_eq!(self.unanswered, 0, "{what}: {self:?}");
        assert!(self.refused.iter().all(|status| *status == 503), "{what}: {self:?}");
        assert!(self.issued > 10 && self.refused.len() * 4 <= self.issued, "{what}: {self:?}");
    }

    pub fn note(&mut self, answer: Option<&Answer>, took: Duration) {
        match answer {
            Some(answer) if answer.status == 200 => self.issued += 1,
            Some(answer) => self.refused.push(answer.status),
            None => self.unanswered += 1,
        }
        self.slowest = self.slowest.max(took);
    }
}

/// The library that changes what a program takes for the time.
pub fn faketime_library() -> String {
    // The wrapper knows where its library lies; ask it rather than guess. It fails where a process of its own number was
    // killed before it and left its semaphore; the next has another number.
    let ask = || Command::new("faketime").args(["-f", "+1s", "sh", "-c", "echo $LD_PRELOAD"]).output().unwrap();
    let told = (0..5).map(|_| ask()).find(|output| output.status.success()).expect("faketime tells of its library");
    let path = String::from_utf8(told.stdout).unwrap().trim().to_owned();
    assert!(path.contains("libfaketime"), "the library of faketime is not found: {path}");
    path
}
