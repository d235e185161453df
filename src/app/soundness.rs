//! By which code tokens are signed, said when it changes: at the start, and when the processor was found to compute
//! wrongly. Leaves finding that to `ed25519_lanes`, which then signs by other code.

use crate::keys::{KeySet, Path, Why};

/// What was said last.
#[derive(Debug, Default)]
pub(super) struct Soundness(Option<Path>);

impl Soundness {
    pub(super) fn note(&mut self, keys: &KeySet) {
        let path = keys.ed25519_path();
        if path == self.0 {
            return;
        }
        self.0 = path;
        match path {
            Some(Path::Portable(why @ (Why::SelfTestFailed | Why::FaultFound))) => {
                tracing::error!(
                    reason = ?why,
                    "the vector instructions of this processor make wrong signatures: tokens are signed without them; \
                     do not trust this machine"
                );
            }
            Some(Path::Portable(why)) => tracing::info!(reason = ?why, "EdDSA signatures without vector lanes"),
            Some(Path::Lanes) => tracing::info!("EdDSA signatures in vector lanes"),
            None => {}
        }
    }
}
