//! `jeton client apply`: the store's clients become those of a file.
//!
//! The plan is printed before anything is written, so that a closed output changes nothing.

use clap::Args;
use serde_json::{Map, Value, json};

use super::super::output::{Output, Table, json as print_json, note, say};
use super::super::progress::shown;
use super::super::{CliError, Global};
use super::FileArg;
use super::file::{self, Entry};
use super::hands::Hands;
use super::line::Line;
use crate::admin::roster::{Declared, Plan, Step, plan};
use crate::clock::Clock;
use crate::oauth::Client;
use crate::store::{OpenMode, Store};

#[derive(Debug, Args)]
pub struct ApplyArgs {
    #[command(flatten)]
    file: FileArg,
    /// Print what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// Remove the clients that are not in the file
    #[arg(long)]
    prune: bool,
}

/// What came of it, or would.
struct Summary {
    created: usize,
    changed: usize,
    removed: usize,
    unchanged: usize,
    only_in_store: usize,
    is_dry_run: bool,
}

pub async fn run(global: &Global, args: ApplyArgs) -> Result<(), CliError> {
    let config = global.config()?;
    let entries = file::read(&args.file.file)?;
    check(&entries, args.prune)?;
    file::check(&entries, &config)?;
    let declared: Vec<Declared> = entries.into_iter().map(|entry| entry.declared).collect();
    if args.dry_run {
        let plan = look(&*global.open_store()?, &declared, args.prune).await?;
        print_plan(global.output, &plan.steps)?;
        return summary(&plan, true).print(global.output);
    }
    let (admin, config) = global.admin(OpenMode::CreateIfMissing).await?;
    let plan = look(&**admin.store(), &declared, args.prune).await?;
    print_plan(global.output, &plan.steps)?;
    let summary = summary(&plan, false);
    if !plan.steps.is_empty() {
        Hands::new(global, &admin, &config).work(plan.steps).await?;
    }
    summary.print(global.output)
}

fn check(entries: &[Entry], prune: bool) -> Result<(), CliError> {
    if prune && entries.is_empty() {
        return Err(CliError::Failed("there is no client in the file: --prune would remove all of the store's".into()));
    }
    let wrong = entries.iter().find_map(|entry| {
        let Declared { id, secrets, .. } = &entry.declared;
        let complaint = match id {
            None => "client_id is missing: without it a second apply would register the client again; import makes one",
            Some(_) if !secrets.is_empty() => {
                "secrets are for 'jeton client import': apply leaves those of a client as they are"
            }
            Some(_) => return None,
        };
        Some(format!("line {}: {complaint}", entry.number))
    });
    wrong.map_or(Ok(()), |sentence| Err(CliError::Failed(sentence)))
}

async fn look(store: &dyn Store, declared: &[Declared], prune: bool) -> Result<Plan, CliError> {
    let planning = plan(store, declared, prune, Clock::System.now());
    Ok(shown(|| Some("looking at the store's clients".to_owned()), planning).await?)
}

fn summary(plan: &Plan, is_dry_run: bool) -> Summary {
    let count = |is: fn(&Step) -> bool| plan.steps.iter().filter(|step| is(step)).count();
    Summary {
        created: count(|step| matches!(step, Step::Create(_))),
        changed: count(|step| matches!(step, Step::Change { .. })),
        removed: count(|step| matches!(step, Step::Remove(_))),
        unchanged: plan.unchanged,
        only_in_store: plan.only_in_store,
        is_dry_run,
    }
}

impl Summary {
    fn print(&self, output: Output) -> Result<(), CliError> {
        let Self { created, changed, removed, unchanged, only_in_store, is_dry_run } = self;
        if output == Output::Json {
            let summary = json!({
                "created": created, "changed": changed, "removed": removed, "unchanged": unchanged,
                "only_in_store": only_in_store, "dry_run": is_dry_run,
            });
            return Ok(print_json(&json!({"summary": summary}))?);
        }
        let would = if *is_dry_run { "would be " } else { "" };
        if created + changed + removed == 0 {
            say(&format!("nothing to do: {unchanged} clients are as the file has them"))?;
        } else {
            say(&format!("{would}created {created}, changed {changed}, removed {removed}; unchanged {unchanged}"))?;
        }
        if *only_in_store > 0 {
            note(&format!("{only_in_store} clients are only in the store and stay: --prune removes them"));
        }
        Ok(())
    }
}

fn print_plan(output: Output, steps: &[Step]) -> Result<(), CliError> {
    if steps.is_empty() {
        return Ok(());
    }
    let mut table = Table::new(output, &["", "client id", "name", "what"]);
    for step in steps {
        let client = step.client();
        let (sign, change, differences) = match step {
            Step::Create(_) => ("+", "create", Map::new()),
            Step::Change { held, wanted } => ("~", "change", differences(held, wanted)),
            Step::Remove(_) => ("-", "remove", Map::new()),
        };
        let what = match step {
            Step::Create(client) if client.keys.is_empty() => "new, with a secret".to_owned(),
            Step::Create(_) => "new, with its keys".to_owned(),
            Step::Change { .. } => differences.iter().map(written).collect::<Vec<_>>().join("; "),
            Step::Remove(_) => "removed for good".to_owned(),
        };
        let value = json!({
            "change": change, "client_id": client.id, "name": client.name, "differences": differences,
        });
        table.row(vec![sign.to_owned(), client.id.to_string(), client.name.to_string(), what], &value)?;
    }
    Ok(table.finish()?)
}

/// The names whose values differ, each with both of them; as they stand in a file.
fn differences(held: &Client, wanted: &Client) -> Map<String, Value> {
    let [held, wanted] = [held, wanted].map(|client| match serde_json::to_value(Line::of(client, None)) {
        Ok(Value::Object(line)) => line,
        _ => Map::new(),
    });
    let value = |line: &Map<String, Value>, name: &str| line.get(name).cloned().unwrap_or_default();
    let names: std::collections::BTreeSet<&String> = held.keys().chain(wanted.keys()).collect();
    let differing = names.into_iter().filter(|name| held.get(*name) != wanted.get(*name));
    differing.map(|name| (name.clone(), json!({"from": value(&held, name), "to": value(&wanted, name)}))).collect()
}

fn written((name, both): (&String, &Value)) -> String {
    let side = |side: &str| both.get(side).map(plain).unwrap_or_default();
    format!("{name}: {} -> {}", side("from"), side("to"))
}

/// A value for people; of a key its name.
fn plain(value: &Value) -> String {
    match value {
        Value::Null => "none".to_owned(),
        Value::String(text) if text.is_empty() => "none".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) if items.is_empty() => "none".to_owned(),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(" "),
        Value::Object(key) => key.get("kid").map(plain).unwrap_or_default(),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}
