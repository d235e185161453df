//! How long keys wait and stay, as the servers of a store have it: whoever plans a key by a command goes by that, with
//! whatever configuration the command was started.

use std::time::Duration;

use super::{Admin, AdminError};
use crate::keys::Lead;
use crate::store::{LEAD_NOTE, Store, StoreError};

/// Notes the lead of a server that starts. The last one to start counts: servers of one store are configured alike.
///
/// # Errors
/// When the store fails.
pub async fn note_lead(store: &dyn Store, lead: Lead) -> Result<(), StoreError> {
    let (held, text) = (store.find_note(LEAD_NOTE).await?, encode(lead));
    if held.as_deref() == Some(&*text) {
        return Ok(());
    }
    match store.put_note(LEAD_NOTE, held.as_deref(), Some(&text)).await {
        // Another server starts.
        Err(StoreError::Conflict) => Ok(()),
        written => written,
    }
}

impl Admin {
    /// The lead of the servers; `own` where none has ever started.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn lead(&self, own: Lead) -> Result<Lead, AdminError> {
        let noted = self.store.find_note(LEAD_NOTE).await?;
        Ok(noted.as_deref().and_then(parse).unwrap_or(own))
    }
}

/// Two numbers of seconds: before a key signs, and after it has retired.
fn encode(lead: Lead) -> String {
    format!("{} {}", lead.before_use.as_secs(), lead.after_use.as_secs())
}

fn parse(text: &str) -> Option<Lead> {
    let (before, after) = text.split_once(' ')?;
    let seconds = |text: &str| text.parse().ok().map(Duration::from_secs);
    Some(Lead { before_use: seconds(before)?, after_use: seconds(after)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parse_of_encode_is_the_same_and_of_anything_else_nothing() {
        let lead = Lead { before_use: Duration::from_secs(962), after_use: Duration::from_secs(87_062) };
        let again = parse(&encode(lead)).unwrap();
        assert_eq!((again.before_use, again.after_use), (lead.before_use, lead.after_use));
        for text in ["", "1", "1 ", " 1", "-1 1", "1 1 1", "a b"] {
            assert!(parse(text).is_none(), "{text}");
        }
    }
}
