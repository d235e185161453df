//! A wire between a server and its store that fails as it is told to: cut, silent, one-way, slow.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

/// What is wrong with the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// What is open ends, what is new ends at once.
    Cut,
    /// A black hole: connections are taken and stay, but nothing goes through, either way.
    Silent,
    /// Half open: what is asked arrives, no answer comes back.
    NoAnswers,
    /// Every piece comes later.
    Late(Duration),
    /// So many bytes in a second, either way.
    Slow(u32),
    /// Only the connections that wait for news are silent.
    NoNews,
}

/// The wire. Ends with its drop, and all connections over it.
pub struct Proxy {
    pub port: u16,
    switch: Arc<Switch>,
}

struct Switch {
    fault: Mutex<Fault>,
    changed: Condvar,
    ended: AtomicBool,
    opened: AtomicUsize,
    open: Mutex<Vec<TcpStream>>,
}

impl Proxy {
    /// A wire to a port of this machine.
    pub fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let switch = Arc::new(Switch {
            fault: Mutex::new(Fault::None),
            changed: Condvar::new(),
            ended: AtomicBool::new(false),
            opened: AtomicUsize::new(0),
            open: Mutex::default(),
        });
        let own = listener.local_addr().unwrap().port();
        let of_listener = Arc::clone(&switch);
        std::thread::spawn(move || of_listener.listen(&listener, port));
        Self { port: own, switch }
    }

    /// The URL of the Redis server behind it.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub fn set(&self, fault: Fault) {
        *self.switch.fault.lock().unwrap() = fault;
        self.switch.changed.notify_all();
        if fault == Fault::Cut {
            self.cut_open();
        }
    }

    /// Ends what is open; what is new is taken.
    pub fn cut_open(&self) {
        for stream in self.switch.open.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// How many connections were taken so far.
    pub fn opened(&self) -> usize {
        self.switch.opened.load(Ordering::Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.switch.ended.store(true, Ordering::Relaxed);
        self.set(Fault::Cut);
        // Wakes the listener, which sees that it is over.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

impl Switch {
    fn listen(self: Arc<Self>, listener: &TcpListener, port: u16) {
        for client in listener.incoming() {
            if self.ended.load(Ordering::Relaxed) {
                return;
            }
            self.opened.fetch_add(1, Ordering::Relaxed);
            let Ok(client) = client else { continue };
            if *self.fault.lock().unwrap() == Fault::Cut {
                continue;
            }
            let Ok(server) = TcpStream::connect(("127.0.0.1", port)) else { continue };
            let copy = |stream: &TcpStream| stream.try_clone().unwrap();
            self.open.lock().unwrap().extend([copy(&client), copy(&server)]);
            // Known once something is asked that makes the server speak by itself.
            let news = Arc::new(AtomicBool::new(false));
            for (from, to, asks) in [(copy(&client), copy(&server), true), (server, client, false)] {
                let (switch, news) = (Arc::clone(&self), Arc::clone(&news));
                let _ = (from.set_nodelay(true), to.set_nodelay(true));
                std::thread::spawn(move || switch.pump((from, to), asks, &news));
            }
        }
    }

    fn pump(&self, (mut from, mut to): (TcpStream, TcpStream), asks: bool, news: &AtomicBool) {
        let mut buffer = [0; 16 * 1024];
        while let Ok(read @ 1..) = from.read(&mut buffer) {
            let bytes = &buffer[..read];
            if asks && is_for_news(bytes) {
                news.store(true, Ordering::Relaxed);
            }
            self.hold(read, asks, news);
            if to.write_all(bytes).is_err() {
                break;
            }
        }
        let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
    }

    /// Waits as long as the fault has a piece wait: what was held comes late, as TCP has it.
    fn hold(&self, bytes: usize, asks: bool, news: &AtomicBool) {
        let mut fault = self.fault.lock().unwrap();
        loop {
            let pause = match *fault {
                Fault::Silent => None,
                Fault::NoAnswers if !asks => None,
                Fault::NoNews if news.load(Ordering::Relaxed) => None,
                Fault::Late(pause) => Some(pause),
                Fault::Slow(rate) => Some(Duration::from_secs(1) * u32::try_from(bytes).unwrap() / rate),
                _ => return,
            };
            match pause {
                None => fault = self.changed.wait(fault).unwrap(),
                Some(pause) => {
                    drop(fault);
                    return std::thread::sleep(pause);
                }
            }
        }
    }
}

fn is_for_news(bytes: &[u8]) -> bool {
    let words: [&[u8]; 2] = [b"SUBSCRIBE", b"TRACKING"];
    words.iter().any(|word| bytes.windows(word.len()).any(|found| found.eq_ignore_ascii_case(word)))
}
