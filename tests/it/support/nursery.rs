//! Server programs that end with the test program, however it ends, and the folders that go with them.
//!
//! The kernel tells a child of the death of the thread that started it (`PR_SET_PDEATHSIG`), and a test's thread ends
//! with its test; so one thread that never ends starts them all, and what several tests share outlives the first.

use std::ffi::OsString;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{LazyLock, Mutex, mpsc};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::need;

type Birth = (Command, mpsc::Sender<Child>);

static NURSE: LazyLock<Mutex<mpsc::Sender<Birth>>> = LazyLock::new(|| {
    let (births, asked) = mpsc::channel::<Birth>();
    std::thread::spawn(move || {
        for (mut command, parent) in asked {
            parent.send(command.spawn().unwrap()).unwrap();
        }
    });
    Mutex::new(births)
});

/// A running server program with a folder of its own.
pub struct Program {
    pub folder: TempDir,
    words: Vec<OsString>,
    environment: Vec<(String, String)>,
    process: Child,
}

impl Program {
    /// Starts `words[0]` with the rest as its arguments in `folder`, where its output goes to a file.
    pub fn start(folder: TempDir, words: Vec<OsString>, environment: Vec<(String, String)>) -> Self {
        let process = bear(folder.path(), &words, &environment);
        let program = Self { folder, words, environment, process };
        sweep_up_after(program.folder.path());
        program
    }

    /// Ends it at once, as a crash does.
    pub fn kill(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    /// Starts again what has ended, on the same data.
    pub fn start_again(&mut self) {
        self.kill();
        self.process = bear(self.folder.path(), &self.words, &self.environment);
    }

    /// `-STOP`, `-CONT`, …
    pub fn signal(&self, signal: &str) {
        assert!(Command::new("kill").args([signal, &self.process.id().to_string()]).status().unwrap().success());
    }

    pub fn has_ended(&mut self) -> bool {
        self.process.try_wait().unwrap().is_some()
    }

    pub fn output(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("output")).unwrap_or_default()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.kill();
    }
}

fn bear(folder: &Path, words: &[OsString], environment: &[(String, String)]) -> Child {
    need("setpriv");
    need(&words[0].to_string_lossy());
    let output = File::options().create(true).append(true).open(folder.join("output")).unwrap();
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--"]).args(words).envs(environment.iter().cloned()).current_dir(folder);
    command.stdin(Stdio::null()).stdout(output.try_clone().unwrap()).stderr(output);
    let (parent, child) = mpsc::channel();
    NURSE.lock().unwrap().send((command, parent)).unwrap();
    child.recv().unwrap()
}

/// Has the folder removed once this process is gone, also when it is killed: what is shared is never dropped.
fn sweep_up_after(folder: &Path) {
    static BROOM: LazyLock<Mutex<Child>> = LazyLock::new(|| {
        let wait_and_sweep = "folders=$(cat); printf '%s\\n' \"$folders\" | while read -r f; do rm -rf -- \"$f\"; done";
        let mut command = Command::new("sh");
        command.args(["-c", wait_and_sweep]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        Mutex::new(command.spawn().unwrap())
    });
    let mut broom = BROOM.lock().unwrap();
    broom.stdin.as_mut().unwrap().write_all(format!("{}\n", folder.display()).as_bytes()).unwrap();
}

/// A port that nobody listens on, below those that the system gives to outgoing connections, so that it stays free
/// for a server that is started, killed and started again.
pub fn free_port() -> u16 {
    static NEXT: LazyLock<AtomicU16> = LazyLock::new(|| AtomicU16::new(rand::random_range(0..20_000)));
    loop {
        let port = 11_000 + NEXT.fetch_add(1, Ordering::Relaxed) % 20_000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// True when a server on this port answers `ask` with something that begins with one of `good`.
pub fn answers(port: u16, ask: &str, good: &[&str]) -> bool {
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else { return false };
    stream.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    let mut buffer = [0; 64];
    let read = stream.write_all(ask.as_bytes()).and_then(|()| stream.read(&mut buffer)).unwrap_or(0);
    good.iter().any(|good| buffer[..read].starts_with(good.as_bytes()))
}

/// Starts programs until one is well: another may have taken a port in the meantime.
pub fn start_until_well<T>(mut start: impl FnMut() -> T, mut state: impl FnMut(&mut T) -> Option<bool>) -> T {
    for _ in 0..5 {
        let (mut started, end) = (start(), Instant::now() + Duration::from_secs(20));
        loop {
            match state(&mut started) {
                Some(true) => return started,
                Some(false) => break,
                None => assert!(Instant::now() < end, "a server never answers"),
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    panic!("a server ends whenever it is started");
}

/// Words for a command line.
pub fn words<W: AsRef<str>>(words: impl IntoIterator<Item = W>) -> Vec<OsString> {
    words.into_iter().map(|word| OsString::from(word.as_ref())).collect()
}

/// A file in a folder, with this text.
pub fn file(folder: &TempDir, name: &str, text: &str) -> PathBuf {
    let path = folder.path().join(name);
    std::fs::write(&path, text).unwrap();
    path
}
