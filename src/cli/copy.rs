//! `jeton store copy`: the way from one store to another, for people and scripts.
//!
//! Leaves the work to `store::transfer`. The master key goes another way than the store: here it is only checked, before
//! anything is written, so that no target is filled that its servers could not unlock.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};

use super::output::{Output, Table, json as print_json, note};
use super::progress::shown;
use super::serve::Signals;
use super::{CliError, Global};
use crate::clock::{Clock, UnixTime};
use crate::config::{Config, ConfigError, master_key};
use crate::store::assertions::UsedAssertion;
use crate::store::transfer::{Followed, Outcome, Progress, Step, Terms, Transfer, TransferError};
use crate::store::{Cursor, OpenMode, Store, StoreError, StoreUrl};

/// How long one operation may take at the least: nobody waits for it, and a copy that is broken off is to be repeated.
const PATIENCE: Duration = Duration::from_secs(10);
/// What ends within this time is not worth copying.
const SOON: Duration = Duration::from_mins(1);

#[derive(Debug, Args)]
pub struct CopyArgs {
    /// The store to copy from, such as sqlite:jeton.db
    #[arg(long, value_name = "URL")]
    from: String,
    /// The store to copy to; a file is made when it is missing
    #[arg(long, value_name = "URL")]
    to: String,
    /// Carry over what changes, in both directions where requests make it, until Ctrl-C
    #[arg(long)]
    follow: bool,
    /// Let a target that holds something else become a copy: its clients and keys are lost
    #[arg(long)]
    replace_target: bool,
    /// Once the copy is whole, let nobody serve from the source or change it any more
    #[arg(long, conflicts_with = "follow")]
    retire_source: bool,
}

pub async fn run(global: &Global, args: CopyArgs) -> Result<(), CliError> {
    let config = global.config()?;
    let (from, to) = (url("--from", &args.from)?, url("--to", &args.to)?);
    let open = |url: &StoreUrl, mode| {
        let mut config = config.clone();
        config.store.url = url.clone();
        config.store.redis.deadline = config.store.redis.deadline.max(PATIENCE);
        // Whoever has such a server must be able to leave it.
        config.store.redis.may_evict = mode == OpenMode::MustExist;
        super::open(&config, mode)
    };
    let source = open(&from, OpenMode::MustExist)?;
    let key = check_master_key(&config, &*source, &to).await?;
    let target = open(&to, OpenMode::CreateIfMissing)?;
    let names = Names { from: from.to_string(), to: to.to_string() };
    let copy = Copy { global, names, key, progress: Progress::default() };
    let terms = Terms {
        from: &copy.names.from,
        replaces: args.replace_target,
        random: [rand::random(), rand::random()],
        useful_from: useful_from(&config),
        replayable_from: UsedAssertion::replayable_from(Clock::System.now(), config.keys.clock_skew),
    };
    copy.run((source, target), &args, terms).await
}

fn url(flag: &'static str, text: &str) -> Result<StoreUrl, CliError> {
    match StoreUrl::parse(text) {
        Ok(StoreUrl::Memory) => {
            Err(CliError::Usage("a store in memory is gone with its process: nothing can be copied"))
        }
        Ok(url) => Ok(url),
        Err(allowed) => Err(ConfigError::new(format!("{flag} must be {allowed}")).into()),
    }
}

/// As servers purge: what no clock takes for valid any more, however wrong it is.
fn useful_from(config: &Config) -> UnixTime {
    Clock::System.now().minus(config.keys.clock_skew + config.token.max_lifetime).plus(SOON)
}

/// Where the target's servers will look for the master key.
enum Key {
    /// The right one is there.
    Matches,
    /// None is there yet.
    Missing(PathBuf),
}

async fn check_master_key(config: &Config, source: &dyn Store, to: &StoreUrl) -> Result<Key, CliError> {
    let records = source.find_keys().await?.ok_or_else(|| failed(&TransferError::Nothing))?;
    let mut config = config.clone();
    config.store.url = to.clone();
    let Some(path) = master_key::path(&config) else { return Ok(Key::Missing(PathBuf::new())) };
    if std::fs::symlink_metadata(&path).is_err() {
        return Ok(Key::Missing(path));
    }
    if master_key::read(&path)?.check() == records.check {
        return Ok(Key::Matches);
    }
    Err(CliError::Config(ConfigError::new(format!(
        "the master key in {} is not the one that the source was made with: put that one there, or name it by JETON_MASTER_KEY_FILE; nothing was copied",
        path.display()
    ))))
}

struct Names {
    from: String,
    to: String,
}

struct Copy<'a> {
    global: &'a Global,
    names: Names,
    key: Key,
    progress: Progress,
}

impl Copy<'_> {
    async fn run(
        &self,
        (source, target): (Arc<dyn Store>, Arc<dyn Store>),
        args: &CopyArgs,
        terms: Terms<'_>,
    ) -> Result<(), CliError> {
        let begun = Transfer::begin((&*source, &*target), terms, &self.progress);
        let mut transfer = shown(|| Some("looking the source over".to_owned()), begun).await.map_err(|e| failed(&e))?;
        transfer.warnings.iter().for_each(|warning| note(&format!("the source: {warning}")));
        let position = transfer.position().await.map_err(|error| failed(&error))?;
        let outcome = shown(|| line(self.progress.now()), transfer.copy()).await.map_err(|error| failed(&error))?;
        if args.follow {
            return self.follow(&transfer, position, &outcome).await;
        }
        let moved_to = args.retire_source.then_some(self.names.to.as_str());
        transfer.finish(moved_to).await.map_err(|error| failed(&error))?;
        self.print("done", &outcome)?;
        self.tell_of_key();
        Ok(())
    }

    /// Whoever waits for the switch learns on standard output that it may begin.
    async fn follow(&self, transfer: &Transfer<'_>, position: Cursor, outcome: &Outcome) -> Result<(), CliError> {
        let mut signals = Signals::new()?;
        let Names { from, to } = &self.names;
        let tell = |event| match event {
            Followed::CaughtUp => {
                // Whoever read our output has gone: the copy goes on all the same.
                self.print("following", outcome).unwrap_or_default();
                self.tell_of_key();
                note(&format!("following: what changes in {from} reaches {to} within a second; Ctrl-C stops"));
            }
            Followed::Interrupted(error) => note(&format!("interrupted: {error}")),
            Followed::Resumed => note("going on"),
        };
        tokio::select! {
            ended = transfer.follow(position, &tell) => ended.map_err(|error| failed(&error)),
            () = signals.next() => {
                note(&format!("stopped: {to} is still a copy of {from}; end it by 'jeton store copy' without --follow"));
                Ok(())
            }
        }
    }

    fn tell_of_key(&self) {
        if let Key::Missing(path) = &self.key {
            let place = path.display();
            note(&format!(
                "the source's master key is not at {place}: put it there (mode 0600) before a server starts"
            ));
        }
    }

    fn print(&self, state: &str, outcome: &Outcome) -> Result<(), CliError> {
        if self.global.output == Output::Json {
            return Ok(print_json(&self.value(state, outcome))?);
        }
        let mut table = Table::new(self.global.output, &["part", "source", "target", "written", "removed", "digest"]);
        for (name, part) in outcome.pass.parts() {
            let counts = [part.source.count(), part.target.count(), part.written, part.removed].map(|n| n.to_string());
            let row = [&[name.to_owned()][..], &counts, &[part.target.digest()]].concat();
            table.row(row, part)?;
        }
        Ok(table.finish()?)
    }

    fn value(&self, state: &str, outcome: &Outcome) -> Value {
        let Names { from, to } = &self.names;
        let key = if matches!(self.key, Key::Matches) { "matches" } else { "missing" };
        let mut value = json!({"state": state, "from": from, "to": to, "master_key": key});
        if let (Some(value), Ok(Value::Object(outcome))) = (value.as_object_mut(), serde_json::to_value(outcome)) {
            value.extend(outcome);
        }
        value
    }
}

fn failed(error: &TransferError) -> CliError {
    match error {
        TransferError::Source(StoreError::Unusable(_)) | TransferError::Target(StoreError::Unusable(_)) => {
            CliError::Config(ConfigError::new(error.to_string()))
        }
        _ => CliError::Failed(error.to_string()),
    }
}

fn line(Step { pass, part, done, of }: Step) -> Option<String> {
    (pass > 0).then(|| format!("pass {pass}: {part}, {done} of {of}"))
}
