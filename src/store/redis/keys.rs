//! The names of all keys: one table.
//!
//! Everything that a write touches together has the hash tag of the prefix, so that in a Cluster one script reaches
//! it. Opaque tokens, which are many and touch nothing else, have one of several tags, so that they spread.
//!
//! | key | type | what it holds |
//! |---|---|---|
//! | `{jeton}:epoch` | string | which store this is: made once, at its beginning |
//! | `{jeton}:feed` | stream | what changed, and what was revoked; an id is position and chance |
//! | `{jeton}:client:ID` | string | a client |
//! | `{jeton}:clients` | sorted set | the ids of all clients, in the order of their bytes |
//! | `{jeton}:uses:ID` | hash | the days on which a client's secrets were last used |
//! | `{jeton}:uses-since` | string | the first day whose uses were written down |
//! | `{jeton}:recent` | sorted set | the clients that were used last, by day |
//! | `{jeton}:keys` | string | all signing keys, encrypted under the master key |
//! | `{jeton}:revoked` | sorted set | revoked tokens by the second of their end |
//! | `{jeton}:revocations` | sorted set | revoked tokens by their position in the feed |
//! | `{jeton}:assertions` | sorted set | used assertions by the second of their end |
//! | `{jeton}:notes` | hash | notes about the store itself |
//! | `{jeton}:turn:CHORE` | string | one of all servers does this chore, for some seconds |
//! | `{jeton}:written:CHANCE` | string | what a write did, for some seconds: it may be asked again |
//! | `{jeton.N}:token:DIGEST` | string | an opaque token, by the 32 bytes of its keyed digest; goes by itself |
//! | `{jeton.N}:tokens` | sorted set | the opaque tokens of bucket N, by end (8 bytes) and digest |
//!
//! Besides them the channel `{jeton}:changed`, on which every write calls.

use crate::oauth::SecretHash;

/// How many hash tags the opaque tokens have.
pub const BUCKETS: u8 = 32;

/// The names of the keys of one store.
#[derive(Clone, Debug)]
pub struct Keys {
    prefix: String,
}

/// A key's name; ids in it may hold any byte.
pub type Key = Vec<u8>;

impl Keys {
    /// The names that begin with this prefix.
    pub fn new(prefix: &str) -> Self {
        Self { prefix: prefix.to_owned() }
    }

    fn common(&self, rest: &str) -> Key {
        format!("{{{}}}:{rest}", self.prefix).into()
    }

    pub fn epoch(&self) -> Key {
        self.common("epoch")
    }

    pub fn feed(&self) -> Key {
        self.common("feed")
    }

    pub fn client(&self, id: &str) -> Key {
        self.common(&format!("client:{id}"))
    }

    pub fn clients(&self) -> Key {
        self.common("clients")
    }

    pub fn uses(&self, id: &str) -> Key {
        self.common(&format!("uses:{id}"))
    }

    pub fn uses_since(&self) -> Key {
        self.common("uses-since")
    }

    pub fn recent(&self) -> Key {
        self.common("recent")
    }

    pub fn keys(&self) -> Key {
        self.common("keys")
    }

    pub fn revoked(&self) -> Key {
        self.common("revoked")
    }

    pub fn revocations(&self) -> Key {
        self.common("revocations")
    }

    pub fn assertions(&self) -> Key {
        self.common("assertions")
    }

    pub fn notes(&self) -> Key {
        self.common("notes")
    }

    pub fn turn(&self, chore: &str) -> Key {
        self.common(&format!("turn:{chore}"))
    }

    pub fn written(&self, chance: &str) -> Key {
        self.common(&format!("written:{chance}"))
    }

    pub fn channel(&self) -> Key {
        self.common("changed")
    }

    /// What the names of the opaque tokens of a bucket begin with.
    pub fn token_prefix(&self, bucket: u8) -> Key {
        format!("{{{}.{bucket}}}:token:", self.prefix).into()
    }

    pub fn token(&self, digest: &SecretHash) -> Key {
        let mut key = self.token_prefix(Self::bucket(digest));
        key.extend_from_slice(digest.bytes());
        key
    }

    pub fn tokens(&self, bucket: u8) -> Key {
        format!("{{{}.{bucket}}}:tokens", self.prefix).into()
    }

    /// The bucket of a token; digests are as good as random.
    pub fn bucket(digest: &SecretHash) -> u8 {
        digest.bytes().first().map_or(0, |first| first % BUCKETS)
    }
}
