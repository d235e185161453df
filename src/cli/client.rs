//! `jeton client …`: register, show, change and remove clients. Leaves their secrets to `secret`, their keys to
//! `client_key`, many of them in a file to `roster`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::client_key::{self, ClientKeyCommand};
use super::output::{Table, note, record};
use super::roster::{self, ApplyArgs, FileArg};
use super::secret::{self, SecretCommand};
use super::{CliError, Global};
use crate::admin::{self, Admin, ClientChange, NewSecret, Ring};
use crate::clock::Clock;
use crate::config::{Config, duration};
use crate::oauth::{Algorithm, Audience, Client, ClientId, Scope, TokenFormat};
use crate::store::OpenMode;

/// How many clients a list reads at a time.
const PAGE: usize = 1000;

#[derive(Debug, Args)]
pub struct ClientArgs {
    #[command(subcommand)]
    command: ClientCommand,
}

#[derive(Debug, Subcommand)]
enum ClientCommand {
    /// Register a client and print its secret, once; or one with public keys and no secret
    Add {
        /// What people call it
        name: String,
        /// A file with the public keys by which it authenticates, a JWKS; then it signs, and gets no secret
        #[arg(long, value_name = "FILE")]
        jwks: Option<PathBuf>,
        #[command(flatten)]
        change: Change,
    },
    /// List all clients
    List,
    /// Show one client
    Show {
        /// Its client id
        id: ClientId,
    },
    /// Change what a client may; what is not named stays
    Set {
        /// Its client id
        id: ClientId,
        /// What people call it
        #[arg(long)]
        name: Option<String>,
        #[command(flatten)]
        change: Change,
    },
    /// Refuse a client from now on
    Disable {
        /// Its client id
        id: ClientId,
    },
    /// Let a disabled client in again
    Enable {
        /// Its client id
        id: ClientId,
    },
    /// Remove a client for good
    Remove {
        /// Its client id
        id: ClientId,
    },
    /// Revoke every token that a client holds
    RevokeTokens {
        /// Its client id
        id: ClientId,
    },
    /// Print all clients, one JSON object a line, for 'client import' and 'client apply'; no secret among them
    Export {
        /// With the digests of their secrets, which are of use only in a store with the same master key
        #[arg(long)]
        with_digests: bool,
    },
    /// Register the clients of a file, which keep their ids; refused whole when one of them is there already
    Import(FileArg),
    /// Make the clients of the store those of a file: print what differs, then change it; nothing is removed unless told
    Apply(ApplyArgs),
    /// Give a client another secret, list its secrets, take one away, or check one
    #[command(subcommand)]
    Secret(SecretCommand),
    /// Give a client a public key, list its keys, or take one away
    #[command(subcommand)]
    Key(ClientKeyCommand),
}

#[derive(Debug, Args)]
struct Change {
    /// Everything the client may ask for, separated by spaces
    #[arg(long, value_name = "\"A B\"")]
    scope: Option<Scope>,
    /// What it gets when it asks for nothing; all of its scope when empty
    #[arg(long, value_name = "\"A B\"")]
    default_scope: Option<Scope>,
    /// A resource server its tokens may be for; repeat for several
    #[arg(long, value_name = "URL")]
    audience: Vec<Audience>,
    /// A resource server that it is, whose tokens it may introspect; repeat for several
    #[arg(long, value_name = "URL")]
    serves: Vec<Audience>,
    /// Lifetime of its tokens, such as 15m or 1h
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    lifetime: Option<Duration>,
    /// What its tokens look like: jwt is verified anywhere, opaque is introspected and costs a write each
    #[arg(long, value_name = "jwt|opaque")]
    format: Option<TokenFormat>,
    /// Whether it gets tokens; false for a resource server that only introspects
    #[arg(long, value_name = "BOOL")]
    tokens: Option<bool>,
    /// What its tokens are signed with: EdDSA, or ES256, RS256 or PS256 for verifiers that lack it. The first key of an
    /// algorithm signs once every verifier had time to fetch it; 'jeton key rotate --alg' makes it beforehand
    #[arg(long, value_name = "ALGORITHM")]
    alg: Option<Algorithm>,
    /// What the assertions that it signs name as their audience: issuer, or endpoint for one that can only name the token
    /// endpoint, whose assertions another server that it talks to could use here
    #[arg(long, value_name = "issuer|endpoint")]
    assertion_audience: Option<AssertionAudience>,
}

/// Whom the assertions of a client may be meant for.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum AssertionAudience {
    /// The issuer alone
    Issuer,
    /// The token endpoint as well
    Endpoint,
}

pub async fn run(global: &Global, args: ClientArgs) -> Result<(), CliError> {
    match args.command {
        ClientCommand::Add { name, jwks, change } => add(global, name, jwks, change).await,
        ClientCommand::List => list(global).await,
        ClientCommand::Show { id } => show(global, &admin::find_client(&*global.open_store()?, &id).await?),
        ClientCommand::Set { id, name, change } => set(global, &id, name, change).await,
        ClientCommand::Disable { id } => set_enabled(global, &id, false).await,
        ClientCommand::Enable { id } => set_enabled(global, &id, true).await,
        ClientCommand::Remove { id } => {
            let (admin, _) = global.admin(OpenMode::MustExist).await?;
            admin.remove_client(&id).await?;
            Ok(record(global.output, &[("removed", id.to_string())], &json!({"removed": id}))?)
        }
        ClientCommand::RevokeTokens { id } => {
            let (admin, _) = global.admin(OpenMode::MustExist).await?;
            show(global, &admin.revoke_tokens(&id).await?)
        }
        ClientCommand::Export { with_digests } => roster::export(global, with_digests).await,
        ClientCommand::Import(FileArg { file }) => roster::import(global, &file).await,
        ClientCommand::Apply(args) => roster::apply(global, args).await,
        ClientCommand::Secret(command) => secret::run(global, command).await,
        ClientCommand::Key(command) => client_key::run(global, command).await,
    }
}

impl Change {
    fn into_change(self, name: Option<String>) -> ClientChange {
        if matches!(self.assertion_audience, Some(AssertionAudience::Endpoint)) {
            note(
                "Another server that this client signs for can use such an assertion here: only for one that cannot name the issuer.",
            );
        }
        ClientChange {
            name,
            scope: self.scope,
            default_scope: self.default_scope,
            audience: Some(self.audience).filter(|audience| !audience.is_empty()),
            serves: Some(self.serves).filter(|serves| !serves.is_empty()),
            lifetime: self.lifetime,
            may_request_tokens: self.tokens,
            ring: None,
            format: self.format,
            accepts_endpoint_audience: self.assertion_audience.map(|said| matches!(said, AssertionAudience::Endpoint)),
        }
    }
}

fn check_lifetime(change: &ClientChange, longest: Duration) -> Result<(), CliError> {
    if change.lifetime.is_some_and(|lifetime| lifetime > longest) {
        let longest = duration::encode(longest);
        return Err(CliError::Failed(format!("--lifetime is longer than token.max_lifetime ({longest})")));
    }
    Ok(())
}

async fn add(global: &Global, name: String, jwks: Option<PathBuf>, change: Change) -> Result<(), CliError> {
    let keys = jwks.map(|path| client_key::read(&path)).transpose()?;
    let (admin, config) = global.admin(OpenMode::CreateIfMissing).await?;
    let alg = change.alg;
    let mut change = change.into_change(Some(name));
    check_lifetime(&change, config.token.max_lifetime)?;
    change.ring = begin_ring(&admin, alg, &config).await?;
    if let Some(keys) = keys {
        return show(global, &admin.add_client_with_keys(change, keys).await?);
    }
    let (client, secret) = admin.add_client(change).await?;
    print_secret(global, &client, &secret)
}

async fn set(global: &Global, id: &ClientId, name: Option<String>, change: Change) -> Result<(), CliError> {
    let alg = change.alg;
    let mut change = change.into_change(name);
    if change.is_empty() && alg.is_none() {
        return Err(CliError::Usage("nothing to change: name at least one flag, 'jeton client set --help'"));
    }
    let (admin, config) = global.admin(OpenMode::MustExist).await?;
    check_lifetime(&change, config.token.max_lifetime)?;
    // No keys for a client that is not there.
    admin.find_client(id).await?;
    change.ring = begin_ring(&admin, alg, &config).await?;
    show(global, &admin.set_client(id, &change).await?)
}

/// The keys for this algorithm; says so when they do not sign yet.
pub async fn begin_ring(admin: &Admin, alg: Option<Algorithm>, config: &Config) -> Result<Option<Ring>, CliError> {
    let Some(alg) = alg else { return Ok(None) };
    let ring = admin.begin_ring(alg, admin.lead(config.lead()).await?).await?;
    let from = ring.signs_from();
    if from > Clock::System.now() {
        note(&format!(
            "The first {alg} key signs from {from} on, once every verifier knows it; until then the client gets no tokens (503)."
        ));
    }
    Ok(Some(ring))
}

async fn set_enabled(global: &Global, id: &ClientId, enabled: bool) -> Result<(), CliError> {
    let (admin, _) = global.admin(OpenMode::MustExist).await?;
    show(global, &admin.set_enabled(id, enabled).await?)
}

async fn list(global: &Global) -> Result<(), CliError> {
    let store = global.open_store()?;
    let mut table = Table::new(global.output, &["client id", "name", "state", "scope", "secrets"]);
    let mut after: Option<ClientId> = None;
    loop {
        let page = store.list_clients(after.as_ref(), PAGE).await?;
        for client in &page {
            let secrets = client.secrets.len().to_string();
            let columns = vec![
                client.id.to_string(),
                client.name.to_string(),
                state(client).to_owned(),
                client.scope.to_string(),
                secrets,
            ];
            table.row(columns, &public(client))?;
        }
        match page.last() {
            Some(last) => after = Some(last.id.clone()),
            None => return Ok(table.finish()?),
        }
    }
}

fn state(client: &Client) -> &'static str {
    if client.enabled { "enabled" } else { "disabled" }
}

/// A client as commands show it: everything but the digests of its secrets.
fn public(client: &Client) -> Value {
    let secrets: Vec<Value> = client
        .secrets
        .iter()
        .map(|secret| json!({"secret_id": secret.id, "created_at": secret.created_at, "expires_at": secret.expires_at}))
        .collect();
    json!({
        "client_id": client.id, "name": client.name, "enabled": client.enabled, "scope": client.scope,
        "default_scope": client.granted_by_default(), "audience": client.audience,
        "serves": client.serves, "tokens_revoked_at": client.tokens_revoked_at, "lifetime": client.lifetime_seconds, "may_request_tokens": client.may_request_tokens,
        "alg": client.alg,
        "format": client.format,
        "secrets": secrets, "keys": client.keys.iter().map(client_key::public).collect::<Vec<_>>(),
        "assertion_audience": assertion_audience(client), "created_at": client.created_at, "revision": client.revision,
    })
}

/// What its assertions may name as their audience.
fn assertion_audience(client: &Client) -> &'static str {
    if client.accepts_endpoint_audience { "endpoint" } else { "issuer" }
}

fn urls(list: &[Audience]) -> String {
    list.iter().map(Audience::as_str).collect::<Vec<_>>().join(" ")
}

fn or_default(audience: &[Audience]) -> String {
    if audience.is_empty() { "the server's default".to_owned() } else { urls(audience) }
}

fn show(global: &Global, client: &Client) -> Result<(), CliError> {
    let lifetime = client.lifetime_seconds.map(|seconds| duration::encode(Duration::from_secs(seconds.into())));
    let lines = [
        ("client id", client.id.to_string()),
        ("name", client.name.to_string()),
        ("state", state(client).to_owned()),
        ("tokens", if client.may_request_tokens { "yes" } else { "no" }.to_owned()),
        ("scope", client.scope.to_string()),
        ("default scope", client.granted_by_default().to_string()),
        ("audience", or_default(&client.audience)),
        ("serves", urls(&client.serves)),
        ("format", client.format.to_string()),
        ("lifetime", lifetime.unwrap_or_else(|| "the server's default".to_owned())),
        ("algorithm", client.alg.to_string()),
        ("secrets", client.secrets.len().to_string()),
        ("keys", client.keys.len().to_string()),
        ("assertions", format!("for the {}", assertion_audience(client))),
        ("tokens revoked", client.tokens_revoked_at.map_or_else(|| "never".to_owned(), |until| until.to_string())),
        ("registered", client.created_at.to_string()),
    ];
    Ok(record(global.output, &lines, &public(client))?)
}

/// A line to try a secret with.
pub fn curl_line(config: &Config, id: &ClientId, secret: &str) -> String {
    let issuer = config.issuer.as_ref();
    let base = issuer.map_or_else(|| format!("http://{}", config.listen), ToString::to_string);
    format!("curl -u {id}:{secret} -d grant_type=client_credentials {base}/oauth2/token")
}

/// The only place where a secret is ever printed, beside `roster` for many.
pub fn print_secret(global: &Global, client: &Client, new: &NewSecret) -> Result<(), CliError> {
    let curl = curl_line(&global.config()?, &client.id, new.secret.expose());
    let expires = client.secrets.iter().find(|held| held.id == new.id).and_then(|held| held.expires_at);
    let value = json!({
        "client_id": client.id, "client_secret": new.secret.expose(), "secret_id": new.id, "expires_at": expires,
        "name": client.name, "scope": client.scope, "audience": client.audience, "alg": client.alg, "curl": curl,
    });
    let lines = [
        ("client id", client.id.to_string()),
        ("client secret", new.secret.expose().to_owned()),
        ("secret id", new.id.to_string()),
        ("expires", expires.map_or_else(|| "never".to_owned(), |end| end.to_string())),
        ("name", client.name.to_string()),
        ("scope", client.scope.to_string()),
        ("audience", or_default(&client.audience)),
        ("try it", curl),
    ];
    record(global.output, &lines, &value)?;
    note("Keep the secret now: it is not stored and cannot be shown again.");
    Ok(())
}
