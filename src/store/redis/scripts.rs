//! The scripts: what a write compares, sets and puts into the feed is one step of the server.
//!
//! Sent by their digest; a server that does not know one (it was restarted, or took over) is sent the text.

use std::sync::LazyLock;

use deadpool_redis::redis::{Cmd, FromRedisValue, ServerErrorKind, ToRedisArgs, cmd};

use super::error::Failure;
use super::link::Link;

/// A script of ours.
pub struct Script {
    text: String,
    digest: String,
}

macro_rules! scripts {
    ($($(#[$meta:meta])* $name:ident = $($file:literal)+;)*) => {
        $($(#[$meta])* pub static $name: LazyLock<Script> = LazyLock::new(|| Script::new(&[$(include_str!(concat!("lua/", $file))),+]));)*
    };
}

scripts! {
    /// Says which store this is, and makes it where there is none.
    BEGIN = "begin.lua";
    /// Writes a client.
    PUT_CLIENT = "write.lua" "put_client.lua";
    /// Removes a client.
    REMOVE_CLIENT = "write.lua" "remove_client.lua";
    /// Writes the signing keys.
    PUT_KEYS = "write.lua" "put_keys.lua";
    /// Notes a revocation.
    PUT_REVOCATION = "write.lua" "put_revocation.lua";
    /// Removes expired revocations.
    PURGE_REVOCATIONS = "purge_revocations.lua";
    /// Keeps an opaque token.
    PUT_TOKEN = "put_token.lua";
    /// Removes expired tokens of a bucket.
    PURGE_TOKENS = "purge_tokens.lua";
    /// Notes that an assertion was used.
    PUT_ASSERTION = "write.lua" "put_assertion.lua";
    /// Notes uses of secrets.
    PUT_SECRET_USES = "put_secret_uses.lua";
    /// Notes since when uses are known.
    PUT_SINCE = "put_since.lua";
    /// Writes a note.
    PUT_NOTE = "write.lua" "put_note.lua";
}

impl Script {
    fn new(parts: &[&str]) -> Self {
        let text = parts.concat();
        let digest = deadpool_redis::redis::Script::new(&text).get_hash().to_owned();
        Self { text, digest }
    }

    /// Runs the script.
    pub async fn run<T: FromRedisValue>(
        &self,
        link: &mut Link,
        keys: &[Vec<u8>],
        arguments: &[impl ToRedisArgs],
    ) -> Result<T, Failure> {
        let command = |name: &str, script: &str| -> Cmd {
            let mut command = cmd(name);
            command.arg(script).arg(keys.len()).arg(keys);
            for argument in arguments {
                command.arg(argument);
            }
            command
        };
        match command("EVALSHA", &self.digest).query_async(link).await {
            Err(error) if error.kind() == ServerErrorKind::NoScript.into() => {
                Ok(command("EVAL", &self.text).query_async(link).await?)
            }
            answer => Ok(answer?),
        }
    }
}
