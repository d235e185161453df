//! `jeton token issue | inspect`: what a client and a resource server do, by hand.

use std::io::Read as _;
use std::path::PathBuf;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use clap::{Args, Subcommand};
use serde_json::Value;
use zeroize::Zeroizing;

use super::discovery::{Issuer, fetch_json, member};
use super::output::{json, record, say};
use super::{CliError, Global, Output};
use crate::clock::{Clock, UnixTime};
use crate::http::client as http_client;
use crate::jwt::{Expected, PublicKey, VerifyError, verify};
use crate::oauth::form;

#[derive(Debug, Args)]
pub struct TokenArgs {
    #[command(subcommand)]
    command: TokenCommand,
}

#[derive(Debug, Subcommand)]
enum TokenCommand {
    /// Get a token as a client does; the secret comes from a file or from `JETON_CLIENT_SECRET`
    Issue(IssueArgs),
    /// Show what a token says; with an issuer, verify it by the issuer's published keys
    Inspect {
        /// The token; standard input when not given
        token: Option<String>,
        /// The issuer whose keys verify it, or on its own machine the loopback address where it listens
        #[arg(long, value_name = "URL")]
        issuer: Option<String>,
    },
}

#[derive(Debug, Args)]
struct IssueArgs {
    /// The issuer, or on its own machine the loopback address where it listens
    #[arg(long, value_name = "URL")]
    issuer: String,
    /// The client id
    #[arg(long, value_name = "ID")]
    client_id: String,
    /// A file that holds the client secret, or - for standard input
    #[arg(long, value_name = "FILE")]
    client_secret_file: Option<PathBuf>,
    /// The scope to ask for
    #[arg(long)]
    scope: Option<String>,
    /// The resource server to ask a token for; repeat for several
    #[arg(long, value_name = "URL")]
    resource: Vec<String>,
}

pub async fn run(global: &Global, args: TokenArgs) -> Result<(), CliError> {
    match args.command {
        TokenCommand::Issue(args) => issue(global, args).await,
        TokenCommand::Inspect { token, issuer } => inspect(global, token, issuer).await,
    }
}

async fn issue(global: &Global, args: IssueArgs) -> Result<(), CliError> {
    let secret = read_secret(args.client_secret_file.as_ref())?;
    let endpoint = Issuer::find(&args.issuer).await?.endpoint("token_endpoint")?;
    let mut parameters = vec![("grant_type", "client_credentials")];
    parameters.extend(args.scope.as_deref().map(|scope| ("scope", scope)));
    parameters.extend(args.resource.iter().map(|resource| ("resource", resource.as_str())));
    let basic = basic(&args.client_id, &secret);
    let answer = http_client::post_form(&endpoint, &basic, encode(&parameters)).await?;
    let body: Value = serde_json::from_slice(&answer.body)
        .map_err(|_| CliError::Failed(format!("{endpoint} answered {} without JSON", answer.status)))?;
    if !answer.status.is_success() {
        let text = |name| body.get(name).and_then(Value::as_str).unwrap_or_default();
        let sentence =
            format!("{endpoint} answered {}: {} ({})", answer.status, text("error"), text("error_description"));
        return Err(CliError::Failed(super::output::printable(&sentence)));
    }
    if global.output == Output::Json {
        return Ok(json(&body)?);
    }
    Ok(say(&super::output::printable(&member(&body, "access_token")?))?)
}

/// `id:secret`, each form-encoded (RFC 6749 §2.3.1), in base64.
#[must_use]
pub fn basic(id: &str, secret: &str) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::new());
    form::encode(id, &mut text);
    text.push(':');
    form::encode(secret, &mut text);
    Zeroizing::new(STANDARD.encode(text.as_bytes()))
}

/// The parameters as a form body.
#[must_use]
pub fn encode(parameters: &[(&str, &str)]) -> String {
    let mut body = String::new();
    for (name, value) in parameters {
        if !body.is_empty() {
            body.push('&');
        }
        form::encode(name, &mut body);
        body.push('=');
        form::encode(value, &mut body);
    }
    body
}

fn read_secret(file: Option<&PathBuf>) -> Result<Zeroizing<String>, CliError> {
    let text = match file {
        Some(path) if path.as_os_str() == "-" => read_stdin()?,
        Some(path) => std::fs::read_to_string(path)
            .map_err(|error| CliError::Failed(format!("{} cannot be read: {error}", path.display())))?,
        None => std::env::var("JETON_CLIENT_SECRET").map_err(|_| {
            CliError::Failed("no secret: name a file with --client-secret-file or set JETON_CLIENT_SECRET".to_owned())
        })?,
    };
    Ok(Zeroizing::new(Zeroizing::new(text).trim().to_owned()))
}

fn read_stdin() -> Result<String, CliError> {
    let mut text = String::new();
    std::io::stdin().lock().take(64 * 1024).read_to_string(&mut text)?;
    Ok(text)
}

async fn inspect(global: &Global, token: Option<String>, issuer: Option<String>) -> Result<(), CliError> {
    let token = match token {
        Some(token) => token,
        None => read_stdin()?,
    };
    let token = token.trim();
    let mut segments = token.split('.').map(decode);
    let (Some(Some(header @ Value::Object(_))), Some(Some(claims @ Value::Object(_))), Some(Some(_)), None) =
        (segments.next(), segments.next(), segments.next(), segments.next())
    else {
        return Err(CliError::Failed("not a signed JWT".to_owned()));
    };
    let now = Clock::System.now();
    let verdict = match &issuer {
        Some(issuer) => Some(verify_by(issuer, token, now).await?),
        None => None,
    };
    let verdict_text =
        verdict.as_ref().map_or("not verified: name its issuer with --issuer", |verdict| match verdict {
            Ok(()) => "valid",
            Err(reason) => reason.as_str(),
        });
    let value = serde_json::json!({"header": header, "claims": claims, "verdict": verdict_text});
    let lines = lines_of(&header, &claims, verdict_text, now);
    let lines: Vec<(&str, String)> = lines.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
    record(global.output, &lines, &value)?;
    match verdict {
        Some(Err(reason)) => Err(CliError::Failed(format!("the token is not valid: {reason}"))),
        _ => Ok(()),
    }
}

fn decode(segment: &str) -> Option<Value> {
    let bytes = URL_SAFE_NO_PAD.decode(segment).ok()?;
    Some(serde_json::from_slice(&bytes).unwrap_or(Value::Null))
}

fn lines_of(header: &Value, claims: &Value, verdict: &str, now: UnixTime) -> Vec<(String, String)> {
    let mut lines = Vec::new();
    for (name, value) in [header, claims].into_iter().filter_map(Value::as_object).flatten() {
        let text = value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
        let text = match (name.as_str(), value.as_u64().map(UnixTime::from_seconds)) {
            ("exp", Some(end)) if end <= now => format!("{end} (expired {} ago)", about(now.since(end))),
            ("exp", Some(end)) => format!("{end} (in {})", about(end.since(now))),
            ("iat" | "nbf", Some(instant)) => instant.to_string(),
            _ => text,
        };
        // The token's own word must not pass for ours.
        let name = if name == "verdict" { "claim verdict".to_owned() } else { name.clone() };
        lines.push((name, text));
    }
    lines.push(("verdict".to_owned(), verdict.to_owned()));
    lines
}

/// The duration in its largest unit, rounded down: enough for eyes.
fn about(duration: Duration) -> String {
    let seconds = duration.as_secs().max(1);
    let unit = [86_400, 3600, 60].into_iter().find(|unit| seconds >= *unit).unwrap_or(1);
    crate::config::duration::encode(Duration::from_secs(seconds / unit * unit))
}

async fn verify_by(issuer: &str, token: &str, now: UnixTime) -> Result<Result<(), String>, CliError> {
    let issuer = Issuer::find(issuer).await?;
    let url = issuer.endpoint("jwks_uri")?;
    let keys = fetch_json(&url).await?.to_string();
    let keys = PublicKey::from_jwks(keys.as_bytes()).map_err(|error| CliError::Failed(format!("{url}: {error}")))?;
    let expected = Expected { issuer: issuer.name(), audience: None, now, leeway: Duration::from_mins(1) };
    // The leeway is for clocks that differ; what the line above calls expired is not called valid here.
    let verified = verify(token, &keys, &expected)
        .and_then(|token| if token.exp <= now { Err(VerifyError::Expired) } else { Ok(()) });
    Ok(verified.map_err(|error| error.to_string()))
}
