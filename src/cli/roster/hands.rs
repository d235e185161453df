//! Carries a plan out, and prints each secret that was made, once.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;

use super::super::client::{begin_ring, curl_line};
use super::super::output::{Table, note};
use super::super::progress::shown;
use super::super::{CliError, Global};
use crate::admin::roster::{AT_ONCE, Carried, Step};
use crate::admin::{Admin, NewSecret, Ring};
use crate::config::Config;
use crate::oauth::Client;

/// What a command has at hand that writes many clients.
pub struct Hands<'a> {
    global: &'a Global,
    admin: &'a Admin,
    config: &'a Config,
}

impl<'a> Hands<'a> {
    pub const fn new(global: &'a Global, admin: &'a Admin, config: &'a Config) -> Self {
        Self { global, admin, config }
    }

    /// Does all steps, and prints a row for every client that was registered: as soon as it is, and before anything is
    /// said of what was not, since nobody else knows the secrets.
    pub async fn work(&self, steps: Vec<Step>) -> Result<(), CliError> {
        let rings = self.begin_rings(&steps).await?;
        let (count, done) = (steps.len(), AtomicUsize::new(0));
        let mut has_secrets = false;
        let working = self.write(steps, &rings, |carried| {
            done.fetch_add(carried.done.len(), Ordering::Relaxed);
            has_secrets |= carried.done.iter().any(|(_, secret)| secret.is_some());
            self.print(&carried.done)
        });
        let outcome = shown(|| Some(format!("{} of {count} clients", done.load(Ordering::Relaxed))), working).await;
        if has_secrets {
            note("Keep the secrets now: they are not stored and cannot be shown again.");
        }
        let done = done.load(Ordering::Relaxed);
        outcome.map_err(|error| match error {
            CliError::Failed(sentence) if done > 0 => CliError::Failed(format!(
                "{sentence}; {done} of {count} clients were written before: 'jeton client apply FILE' goes on"
            )),
            error => error,
        })
    }

    /// The keys of every algorithm that a client is to have.
    async fn begin_rings(&self, steps: &[Step]) -> Result<Vec<Ring>, CliError> {
        let written = steps.iter().filter(|step| !matches!(step, Step::Remove(_)));
        let algorithms: BTreeSet<_> = written.map(|step| step.client().alg).collect();
        let mut rings = Vec::new();
        for alg in algorithms {
            rings.extend(begin_ring(self.admin, Some(alg), self.config).await?);
        }
        Ok(rings)
    }

    async fn write(
        &self,
        mut steps: Vec<Step>,
        rings: &[Ring],
        mut tell: impl FnMut(&Carried) -> Result<(), CliError>,
    ) -> Result<(), CliError> {
        while !steps.is_empty() {
            let rest = steps.split_off(steps.len().min(AT_ONCE));
            let carried = self.admin.carry_out(std::mem::replace(&mut steps, rest), rings).await;
            tell(&carried)?;
            carried.error.map_or(Ok(()), Err)?;
        }
        Ok(())
    }

    fn print(&self, done: &[(Step, Option<NewSecret>)]) -> Result<(), CliError> {
        if !done.iter().any(|(step, _)| matches!(step, Step::Create(_))) {
            return Ok(());
        }
        let mut table = Table::new(self.global.output, &["client id", "name", "client secret", "secret id"]);
        for (step, secret) in done {
            if let Step::Create(client) = step {
                self.row(&mut table, client, secret.as_ref())?;
            }
        }
        Ok(table.finish()?)
    }

    fn row(&self, table: &mut Table, client: &Client, secret: Option<&NewSecret>) -> Result<(), CliError> {
        let text = secret.map(|secret| secret.secret.expose());
        let value = json!({
            "client_id": client.id, "name": client.name, "client_secret": text, "secret_id": secret.map(|secret| &secret.id),
            "curl": text.map(|text| curl_line(self.config, &client.id, text)),
        });
        let columns = vec![
            client.id.to_string(),
            client.name.to_string(),
            text.unwrap_or("-").to_owned(),
            secret.map_or_else(|| "-".to_owned(), |secret| secret.id.to_string()),
        ];
        Ok(table.row(columns, &value)?)
    }
}
