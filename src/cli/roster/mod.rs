//! `jeton client import | export | apply`: clients in a file, one JSON object a line.
//!
//! `line` is the form of a client there, `file` reads many of them, `apply` and the rest of this are the commands, and
//! `hands` is what they share: keys of algorithms, writing, and printing secrets once. Invariant: the whole file is read
//! and found sound before the store is opened.

mod apply;
mod file;
mod hands;
mod line;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use super::output::{json, note};
use super::progress::shown;
use super::{CliError, Global};
use crate::admin::AdminError;
use crate::admin::roster::{Step, find_taken};
use crate::clock::Clock;
use crate::keys::MasterKeyCheck;
use crate::oauth::ClientId;
use crate::store::{OpenMode, Store};
use file::Entry;
use hands::Hands;
use line::Line;

pub use apply::{ApplyArgs, run as apply};

/// How many clients are read at a time.
const PAGE: usize = 1000;

/// Prints every client as a line.
pub async fn export(global: &Global, with_digests: bool) -> Result<(), CliError> {
    let store = global.open_store()?;
    let master = if with_digests { store.find_keys().await?.map(|keys| keys.check) } else { None };
    if with_digests {
        note("These digests let clients in only where the store has the same master key: keep them like the database.");
    }
    let count = AtomicUsize::new(0);
    let say = || Some(format!("{} clients", count.load(Ordering::Relaxed)));
    let printing = print_all(&*store, master.as_ref(), &count);
    // A terminal has the lines themselves to look at.
    if std::io::IsTerminal::is_terminal(&std::io::stdout()) { printing.await } else { shown(say, printing).await }
}

async fn print_all(store: &dyn Store, master: Option<&MasterKeyCheck>, count: &AtomicUsize) -> Result<(), CliError> {
    let mut after: Option<ClientId> = None;
    loop {
        let page = store.list_clients(after.as_ref(), PAGE).await?;
        let Some(last) = page.last() else { return Ok(()) };
        after = Some(last.id.clone());
        page.iter().try_for_each(|client| json(&Line::of(client, master)))?;
        count.fetch_add(page.len(), Ordering::Relaxed);
    }
}

/// Registers the clients of a file, none of which may be there.
pub async fn import(global: &Global, path: &Path) -> Result<(), CliError> {
    let config = global.config()?;
    let entries = file::read(path)?;
    file::check(&entries, &config)?;
    let (admin, config) = global.admin(OpenMode::CreateIfMissing).await?;
    check_digests(&admin, &entries)?;
    check_new(&admin, &entries).await?;
    let now = Clock::System.now();
    let steps = entries.iter().map(|entry| entry.declared.client(None, now).map(Step::Create));
    let steps = steps.collect::<Result<Vec<_>, AdminError>>()?;
    Hands::new(global, &admin, &config).work(steps).await?;
    Ok(())
}

async fn check_new(admin: &crate::admin::Admin, entries: &[Entry]) -> Result<(), CliError> {
    let named = entries.iter().filter_map(|entry| Some((entry.number, entry.declared.id.clone()?)));
    let (numbers, ids): (Vec<usize>, Vec<ClientId>) = named.unzip();
    let taken = shown(|| Some("looking for clients of these ids".to_owned()), find_taken(admin.store(), &ids)).await?;
    let found = taken.and_then(|position| Some((numbers.get(position)?, ids.get(position)?)));
    found.map_or(Ok(()), |(number, id)| {
        Err(CliError::Failed(format!(
            "line {number}: {id} is registered already, nothing was written: 'jeton client apply' changes clients that there are"
        )))
    })
}

/// Digests of another master key would let nobody in, and nobody would know why.
fn check_digests(admin: &crate::admin::Admin, entries: &[Entry]) -> Result<(), CliError> {
    let is_foreign = |entry: &&Entry| entry.digests_under.as_ref().is_some_and(|check| !admin.is_under(check));
    entries.iter().find(is_foreign).map_or(Ok(()), |entry| {
        Err(CliError::Failed(format!(
            "line {}: its digests were made under another master key than this store's, and would let nobody in: leave out \"secrets\" and \"digests_under\", and the client gets a new secret; nothing was written",
            entry.number
        )))
    })
}

/// Where the file is named in help.
#[derive(Debug, clap::Args)]
pub struct FileArg {
    /// The file, one client a line as 'jeton client export' prints them; - for standard input
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
}
