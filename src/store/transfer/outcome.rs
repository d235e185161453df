//! What a copy did, and how far it is.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize};

use serde::Serialize;

use super::Tally;

/// One kind of record after a pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Part {
    /// How many were written to the target.
    pub written: u64,
    /// How many were taken away from it.
    pub removed: u64,
    /// What the source has.
    pub source: Tally,
    /// What the target has of it, read after the last write.
    pub target: Tally,
}

impl Part {
    /// Whether the target has what the source has.
    #[must_use]
    pub fn is_same(&self) -> bool {
        self.source == self.target
    }

    const fn and(self, later: Self) -> Self {
        Self { written: self.written + later.written, removed: self.removed + later.removed, ..later }
    }
}

/// All kinds of records after a pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Pass {
    /// Clients with their secrets.
    pub clients: Part,
    /// When secrets were last used.
    pub secret_uses: Part,
    /// Opaque tokens.
    pub tokens: Part,
    /// Revocations.
    pub revocations: Part,
    /// Assertions that were used.
    pub assertions: Part,
    /// Signing keys, and the check of their master key.
    pub keys: Part,
}

impl Pass {
    /// Every part with its name.
    #[must_use]
    pub const fn parts(&self) -> [(&'static str, &Part); 6] {
        let Self { clients, secret_uses, tokens, revocations, assertions, keys } = self;
        [
            ("clients", clients),
            ("secret_uses", secret_uses),
            ("tokens", tokens),
            ("revocations", revocations),
            ("assertions", assertions),
            ("keys", keys),
        ]
    }

    pub(super) fn is_same(&self) -> bool {
        self.parts().iter().all(|(_, part)| part.is_same())
    }

    pub(super) fn did_nothing(&self) -> bool {
        self.parts().iter().all(|(_, part)| part.written + part.removed == 0)
    }
}

/// What all passes wrote, and how both sides compared in the last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Outcome {
    /// The comparison of the last pass, with the writes of all.
    #[serde(flatten)]
    pub pass: Pass,
    /// How many there were.
    pub passes: u32,
}

impl Outcome {
    pub(super) const fn and(self, later: &Pass) -> Self {
        let Pass { clients, secret_uses, tokens, revocations, assertions, keys } = self.pass;
        let pass = Pass {
            clients: clients.and(later.clients),
            secret_uses: secret_uses.and(later.secret_uses),
            tokens: tokens.and(later.tokens),
            revocations: revocations.and(later.revocations),
            assertions: assertions.and(later.assertions),
            keys: keys.and(later.keys),
        };
        Self { pass, passes: self.passes + 1 }
    }
}

/// How far a copy is; written by it, read by whoever looks on.
#[derive(Debug, Default)]
pub struct Progress {
    pass: AtomicU32,
    part: AtomicUsize,
    done: AtomicU64,
    of: AtomicU64,
}

/// One look at a [`Progress`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// Which pass; 0 before the first.
    pub pass: u32,
    /// Which kind of record.
    pub part: &'static str,
    /// How many of the source were looked at.
    pub done: u64,
    /// About how many there are.
    pub of: u64,
}

impl Progress {
    /// The parts in the order in which a pass takes them.
    pub(super) const PARTS: [&'static str; 5] = ["revocations", "clients", "tokens", "assertions", "keys"];

    pub(super) fn begin(&self, pass: u32, part: usize, of: u64) {
        self.done.store(0, Relaxed);
        self.of.store(of, Relaxed);
        self.part.store(part, Relaxed);
        self.pass.store(pass, Relaxed);
    }

    pub(super) fn add(&self, records: usize) {
        self.done.fetch_add(records as u64, Relaxed);
    }

    /// How far it is now.
    #[must_use]
    pub fn now(&self) -> Step {
        let part = Self::PARTS.get(self.part.load(Relaxed)).copied().unwrap_or_default();
        let done = self.done.load(Relaxed);
        Step { pass: self.pass.load(Relaxed), part, done, of: self.of.load(Relaxed).max(done) }
    }
}
