//! An outside witness: a writer that does what operators and clients do to a store, writes down what was acknowledged,
//! and afterwards compares that with what is there (L1), and with what a server says of it (L2).
//!
//! A write that failed may have been done or not: it is tried until it is acknowledged, and what it changes is
//! expected of nobody in between.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use jeton::admin::{Admin, AdminError, ClientChange, NewSecret};
use jeton::oauth::{Audience, ClientId, Scope, TokenFormat};
use jeton::store::Store;
use tokio::runtime::Runtime;

use super::{API, Answer, Client, GRANT, Home, Server, Wire};

/// What was acknowledged of one client, as far as it is beyond doubt.
#[derive(Clone, Debug)]
struct Account {
    id: ClientId,
    enabled: Option<bool>,
    /// With secrets that are good, and that no longer are.
    good: Vec<Client>,
    bad: Vec<Client>,
    /// Tokens that are, and that must not be.
    active: Vec<String>,
    inactive: Vec<String>,
}

/// What is written down, and who writes.
pub struct Ledger {
    book: Arc<Book>,
    writer: JoinHandle<()>,
}

/// What the writer shares with those who watch it.
#[derive(Default)]
struct Book {
    stop: AtomicBool,
    acknowledged: AtomicUsize,
    accounts: Mutex<Vec<Account>>,
    /// Something that was answered and must not have been.
    wrong: Mutex<Vec<String>>,
    slowest: Mutex<Duration>,
}

impl Book {
    fn accounts(&self) -> std::sync::MutexGuard<'_, Vec<Account>> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_over(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

impl Ledger {
    /// Begins to write: clients and secrets on the store of `home`, tokens and revocations at the server's address.
    pub fn begin(home: Home, address: &str) -> Self {
        let (book, address) = (Arc::new(Book::default()), address.to_owned());
        let shared = Arc::clone(&book);
        let write = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            // A store may look after its connections from the start.
            let store = runtime.block_on(async { home.store() });
            let writer = Writer { book: shared, runtime, store, home, address };
            let mut number = 0;
            while !writer.book.is_over() {
                writer.keep_account(number);
                number += 1;
            }
        };
        Self { book, writer: std::thread::spawn(write) }
    }

    /// How many operations were acknowledged so far.
    pub fn acknowledged(&self) -> usize {
        self.book.acknowledged.load(Ordering::Relaxed)
    }

    /// Ends the writing, and says what there is to compare.
    pub fn close(self) -> Closed {
        self.book.stop.store(true, Ordering::Relaxed);
        let Self { book, writer } = self;
        writer.join().unwrap();
        let take = |told: &Mutex<Vec<String>>| std::mem::take(&mut *told.lock().unwrap());
        let (slowest, wrong) = (*book.slowest.lock().unwrap(), take(&book.wrong));
        let acknowledged = book.acknowledged.load(Ordering::Relaxed);
        let accounts = std::mem::take(&mut *book.accounts());
        Closed { accounts, acknowledged, wrong, slowest }
    }
}

struct Writer {
    book: Arc<Book>,
    runtime: Runtime,
    store: Arc<dyn Store>,
    home: Home,
    address: String,
}

impl Writer {
    /// Everything that may happen to a client, one after the other; ends early when the book is closed.
    fn keep_account(&self, number: usize) -> Option<()> {
        let format = if number.is_multiple_of(2) { TokenFormat::Jwt } else { TokenFormat::Opaque };
        let (id, first) = self.create(format)?;
        let account = Account {
            id: id.clone(),
            enabled: Some(true),
            good: vec![first.clone()],
            bad: Vec::new(),
            active: Vec::new(),
            inactive: Vec::new(),
        };
        self.book.accounts().push(account);
        let (revoked, kept) = (self.token(&first)?, self.token(&first)?);
        self.note(|account| account.active.push(kept.clone()));
        self.post("/oauth2/revoke", &first, &format!("token={revoked}"))?;
        self.note(|account| account.inactive.push(revoked));
        let second = self.add_secret(&id)?;
        self.note(|account| account.good.push(second));
        self.note(|account| drop(account.good.remove(0)));
        self.remove_secret(&id, &first)?;
        self.note(|account| account.bad.push(first));
        match number % 3 {
            0 => {
                self.note(|account| account.enabled = None);
                self.write(async |admin| admin.set_enabled(&id, false).await)?;
                self.note(|account| account.enabled = Some(false));
            }
            1 => {
                self.note(|account| account.active.clear());
                self.write(async |admin| admin.revoke_tokens(&id).await)?;
                self.note(|account| account.inactive.push(kept));
            }
            _ => {}
        }
        Some(())
    }

    /// Changes what is written down of the last client.
    fn note(&self, change: impl FnOnce(&mut Account)) {
        change(self.book.accounts().last_mut().unwrap());
    }

    fn create(&self, format: TokenFormat) -> Option<(ClientId, Client)> {
        let (scope, audience) = (Scope::parse("read").ok(), Some(vec![Audience::parse(API).unwrap()]));
        let named = ClientChange { name: Some("account".to_owned()), ..ClientChange::default() };
        let change = ClientChange { scope, audience, format: Some(format), ..named };
        let (client, secret) = self.write(async |admin| admin.add_client(change.clone()).await)?;
        Some((client.id.clone(), holder(&client.id, &secret)))
    }

    fn add_secret(&self, id: &ClientId) -> Option<Client> {
        let mut tried = false;
        let (_, secret) = self.write(async |admin| {
            let again = std::mem::replace(&mut tried, true);
            match admin.add_secret(id, None).await {
                // Tries that were not acknowledged added one each; nobody knows the last.
                Err(AdminError::TooManySecrets) if again => {
                    let last = admin.find_client(id).await?.secrets.pop().unwrap();
                    admin.remove_secret(id, last.id.as_str()).await?;
                    admin.add_secret(id, None).await
                }
                outcome => outcome,
            }
        })?;
        Some(holder(id, &secret))
    }

    fn remove_secret(&self, id: &ClientId, client: &Client) -> Option<()> {
        let mut tried = false;
        self.write(async |admin| {
            let again = std::mem::replace(&mut tried, true);
            match admin.remove_secret(id, &client.secret_id).await {
                // It was done by a try that was not acknowledged.
                Err(AdminError::UnknownSecret) if again => Ok(()),
                outcome => outcome.map(drop),
            }
        })
    }

    /// Writes until it is acknowledged; nothing when the book is closed before.
    fn write<T>(&self, mut operation: impl AsyncFnMut(&Admin) -> Result<T, AdminError>) -> Option<T> {
        loop {
            let began = Instant::now();
            let admin = self.home.admin(&self.store);
            let outcome = self.runtime.block_on(operation(&admin));
            self.took(began);
            match outcome {
                Ok(done) => return Some(self.acknowledge(done)),
                Err(AdminError::Store(error)) => drop(error),
                Err(error) => self.book.wrong.lock().unwrap().push(format!("a command is told: {error}")),
            }
            self.pause()?;
        }
    }

    fn token(&self, client: &Client) -> Option<String> {
        self.post("/oauth2/token", client, GRANT).map(|answer| answer.access_token())
    }

    /// Posts until the answer is 200; nothing when the book is closed before.
    fn post(&self, path: &str, client: &Client, form: &str) -> Option<Answer> {
        loop {
            let began = Instant::now();
            let mut wire = Wire::connect(&self.address);
            wire.post(path, &[("Authorization", &client.basic())], form);
            let answer = wire.answer();
            self.took(began);
            match answer.status {
                200 => return Some(self.acknowledge(answer)),
                503 => {}
                // The client was acknowledged, and so it exists.
                status => self.book.wrong.lock().unwrap().push(format!("{path}: {status} {}", answer.text())),
            }
            self.pause()?;
        }
    }

    fn took(&self, began: Instant) {
        let mut slowest = self.book.slowest.lock().unwrap();
        *slowest = (*slowest).max(began.elapsed());
    }

    fn acknowledge<T>(&self, done: T) -> T {
        self.book.acknowledged.fetch_add(1, Ordering::Relaxed);
        std::thread::sleep(Duration::from_millis(3));
        done
    }

    fn pause(&self) -> Option<()> {
        std::thread::sleep(Duration::from_millis(20));
        (!self.book.is_over()).then_some(())
    }
}

fn holder(id: &ClientId, secret: &NewSecret) -> Client {
    Client { id: id.to_string(), secret: secret.secret.expose().to_owned(), secret_id: secret.id.to_string() }
}

/// What was acknowledged in the end, to be compared.
pub struct Closed {
    accounts: Vec<Account>,
    pub acknowledged: usize,
    /// Answers that were wrong while it was written.
    pub wrong: Vec<String>,
    /// The operation that took longest.
    pub slowest: Duration,
}

impl Closed {
    /// What differs from what was acknowledged: in the store, and in what a server says to `api` and to the clients. It
    /// acts within a second; a busy machine gets a little more.
    pub fn differences(&self, server: &Server, api: &Client) -> Vec<String> {
        let end = Instant::now() + Duration::from_millis(2500);
        loop {
            let mut found = self.missing_in_store(&server.home);
            found.extend(self.accounts.iter().flat_map(|account| account.differences(server, api)));
            if found.is_empty() || Instant::now() > end {
                return found;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn missing_in_store(&self, home: &Home) -> Vec<String> {
        super::faults::block_on(async {
            let (store, mut missing) = (home.store(), Vec::new());
            for account in &self.accounts {
                let Some(client) = store.find_client(account.id.as_str()).await.unwrap() else {
                    missing.push(format!("client {} is gone", account.id));
                    continue;
                };
                let has = |wanted: &Client| client.secrets.iter().any(|held| held.id.as_str() == wanted.secret_id);
                if account.enabled.is_some_and(|enabled| enabled != client.enabled) {
                    missing.push(format!("{} is enabled: {}", account.id, client.enabled));
                }
                if !account.good.iter().all(has) || account.bad.iter().any(has) {
                    missing.push(format!("the secrets of {} are others", account.id));
                }
            }
            missing
        })
    }
}

impl Account {
    fn differences(&self, server: &Server, api: &Client) -> Vec<String> {
        let mut found = Vec::new();
        let mut expect = |what: &str, is_so: bool| {
            if !is_so {
                found.push(format!("{}: {what}", self.id));
            }
        };
        let status = |client: &Client| server.ask(client, GRANT).status;
        let is_active = |token: &str| server.introspect(api, token).json()["active"].as_bool();
        for client in &self.bad {
            expect("a removed secret is refused", status(client) == 401);
        }
        if let Some(enabled) = self.enabled {
            let due = if enabled { 200 } else { 401 };
            for client in &self.good {
                expect(&format!("a good secret is answered {due}"), status(client) == due);
            }
            for token in &self.active {
                expect("a token is active while its client is", is_active(token) == Some(enabled));
            }
        }
        for token in &self.inactive {
            expect("a revoked token is inactive", is_active(token) == Some(false));
        }
        found
    }
}
