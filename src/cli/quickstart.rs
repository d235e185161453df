//! `jeton quickstart`: the three roles on one machine, over real sockets, step by step.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use super::output::say;
use super::serve::{Running, Signals};
use super::token::{basic, encode};
use super::{CliError, load_master_key, log, serve};
use crate::admin::{Admin, ClientChange};
use crate::clock::Clock;
use crate::config::{Config, ConfigError};
use crate::http::client::{self, Answer};
use crate::http::demo::ResourceServer;
use crate::jwt::PublicKey;
use crate::oauth::{Audience, Scope};
use crate::store::{OpenMode, StoreUrl};

const ORDERS: &str = "https://orders.example";
const BILLING: &str = "https://billing.example";

#[derive(Debug, clap::Args)]
pub struct QuickstartArgs {
    /// End after the flow instead of serving until Ctrl-C
    #[arg(long)]
    once: bool,
    /// Where the database and its master key go
    #[arg(long, value_name = "DIR", default_value = "jeton-quickstart")]
    dir: PathBuf,
}

/// What the client knows.
struct Credentials {
    id: String,
    secret: String,
}

pub async fn run(args: QuickstartArgs) -> Result<(), CliError> {
    let config = config(&args.dir)?;
    log::start(&config.log)?;
    let signals = Signals::new()?;
    let running = serve::start(config).await?;
    let issuer = running.app.issuer.to_string();
    step(1, "The authorization server runs")?;
    tell(&format!("issuer     {issuer}"))?;
    tell(&format!("database   {}", args.dir.join("jeton.db").display()))?;
    let credentials = register(&running).await?;
    let (answer, token) = request_token(&issuer, &credentials, None).await?;
    show_token_request(&issuer, &credentials, &answer, &token)?;
    call_resource_server(&issuer, &credentials, &token).await?;
    step(5, "Your turn")?;
    if args.once {
        tell("Without --once the server goes on, and a curl line for it stands here.")?;
        running.drain().await;
        return Ok(());
    }
    let Credentials { id, secret } = &credentials;
    say(&format!("\ncurl -u {id}:{secret} -d grant_type=client_credentials {issuer}/oauth2/token\n"))?;
    tell("The server goes on until Ctrl-C.")?;
    running.until_stopped(signals).await
}

/// The defaults on free ports, and only warnings in between the steps.
fn config(dir: &Path) -> Result<Config, CliError> {
    std::fs::create_dir_all(dir)
        .map_err(|error| ConfigError::new(format!("--dir {} cannot be made: {error}", dir.display())))?;
    let mut config = Config::from_raw(&crate::config::RawConfig::default())?;
    let free = SocketAddr::from(([127, 0, 0, 1], 0));
    (config.listen, config.ops_listen) = (free, free);
    config.store.url = StoreUrl::Sqlite(dir.join("jeton.db"));
    "warn".clone_into(&mut config.log.level);
    Ok(config)
}

async fn register(running: &Running) -> Result<Credentials, CliError> {
    step(2, "A backend is registered: it may read and write at two resource servers")?;
    let config = &running.app.config;
    // A store of its own, as the command 'jeton client add' would open it beside the running server.
    let store = config.store.url.open(OpenMode::MustExist)?;
    let master = load_master_key(config, &*store).await?;
    let admin = Admin::new(store, master, Clock::System.now());
    let known = |text: &str| Audience::parse(text).map_err(|error| CliError::Failed(error.to_string()));
    let change = ClientChange {
        name: Some("quickstart".to_owned()),
        scope: Some(Scope::parse("orders:read orders:write").map_err(|error| CliError::Failed(error.to_string()))?),
        audience: Some(vec![known(ORDERS)?, known(BILLING)?]),
        ..ClientChange::default()
    };
    let (client, new) = admin.add_client(change).await?;
    tell("$ jeton client add quickstart --scope \"orders:read orders:write\" \\")?;
    tell(&format!("      --audience {ORDERS} --audience {BILLING}"))?;
    tell(&format!("client id      {}", client.id))?;
    tell(&format!("client secret  {} (shown once; the server keeps a digest)", shorten(new.secret.expose())))?;
    Ok(Credentials { id: client.id.to_string(), secret: new.secret.expose().to_owned() })
}

async fn request_token(
    issuer: &str,
    client: &Credentials,
    resource: Option<&str>,
) -> Result<(Answer, String), CliError> {
    let mut form = vec![("grant_type", "client_credentials")];
    form.extend(resource.map(|resource| ("resource", resource)));
    let basic = basic(&client.id, &client.secret);
    let answer = client::post_form(&format!("{issuer}/oauth2/token"), &basic, encode(&form)).await?;
    let body: Option<Value> = serde_json::from_slice(&answer.body).ok();
    let token = body.as_ref().and_then(|body| body.get("access_token")?.as_str()).map(ToOwned::to_owned);
    let token = token.ok_or_else(|| CliError::Failed(format!("the token endpoint answered {}", answer.status)))?;
    Ok((answer, token))
}

fn show_token_request(issuer: &str, client: &Credentials, answer: &Answer, token: &str) -> io::Result<()> {
    step(3, "The backend trades its secret for a token")?;
    tell(&format!("> POST {issuer}/oauth2/token"))?;
    tell(&format!("> Authorization: Basic base64({}:{})", client.id, shorten(&client.secret)))?;
    tell("> grant_type=client_credentials")?;
    tell(&format!("< {}", answer.status))?;
    let body = String::from_utf8_lossy(&answer.body).replace(token, &shorten(token));
    tell(&format!("< {body}"))
}

async fn call_resource_server(issuer: &str, credentials: &Credentials, token: &str) -> Result<(), CliError> {
    let jwks = client::get(&format!("{issuer}/.well-known/jwks.json"), None).await?;
    let keys = PublicKey::from_jwks(&jwks.body).map_err(|error| CliError::Failed(error.to_string()))?;
    let server = ResourceServer { issuer: issuer.to_owned(), audience: ORDERS.to_owned(), keys };
    let (server, address) = server.serve()?;
    step(4, "A resource server checks tokens with the published keys, without asking anyone")?;
    tell(&format!("it is {ORDERS}, listens on {address} and has fetched {issuer}/.well-known/jwks.json"))?;
    let (_, elsewhere) = request_token(issuer, credentials, Some(BILLING)).await?;
    let calls = [
        ("without a token", None, 401),
        ("with the token", Some(token.to_owned()), 200),
        ("with a forged token", Some(forge(token)), 401),
        ("with a token for another audience", Some(elsewhere), 401),
    ];
    for (what, token, expected) in calls {
        let answer = client::get(&format!("http://{address}/orders"), token.as_deref()).await?;
        tell(&format!("> GET /orders {what}"))?;
        tell(&format!("< {} {}", answer.status, String::from_utf8_lossy(&answer.body).trim_end()))?;
        if answer.status != expected {
            return Err(CliError::Failed(format!("the call {what} should have been answered {expected}")));
        }
    }
    server.drain(Duration::ZERO).await;
    Ok(())
}

/// The token with one character of its signature changed.
fn forge(token: &str) -> String {
    let (signed, signature) = token.rsplit_once('.').unwrap_or((token, ""));
    let changed = if signature.starts_with('A') { "B" } else { "A" };
    format!("{signed}.{changed}{}", signature.get(1..).unwrap_or_default())
}

/// Enough to recognise, too little to use.
fn shorten(text: &str) -> String {
    format!("{}…", text.get(..12).unwrap_or_default())
}

fn step(number: u32, what: &str) -> io::Result<()> {
    say(&format!("\n{number}. {what}"))
}

fn tell(line: &str) -> io::Result<()> {
    say(&format!("   {line}"))
}
