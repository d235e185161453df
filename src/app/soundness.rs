//! By which code tokens are signed, said when it changes: at the start, and when the processor was found to compute
//! wrongly. Leaves finding that to `ed25519_lanes`, which then signs by other code, whatever the key, until this process
//! ends; so it is said once.

use crate::keys::{Path, Why};

/// What was said last.
#[derive(Debug, Default)]
pub(super) struct Soundness(Option<Path>);

impl Soundness {
    /// `None` while there is no Ed25519 key.
    pub(super) fn note(&mut self, path: Option<Path>) {
        let Some(path) = path.filter(|path| self.0 != Some(*path)) else { return };
        self.0 = Some(path);
        match path {
            Path::Portable(why @ (Why::SelfTestFailed | Why::FaultFound)) => {
                tracing::error!(
                    reason = ?why,
                    "the vector instructions of this processor make wrong signatures: tokens are signed without them; \
                     do not trust this machine"
                );
            }
            Path::Portable(why) => tracing::info!(reason = ?why, "EdDSA signatures without vector lanes"),
            Path::Lanes => tracing::info!("EdDSA signatures in vector lanes"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Result, Write};
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl Write for Log {
        fn write(&mut self, bytes: &[u8]) -> Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> Result<()> {
            Ok(())
        }
    }

    /// The lines that are logged when it looks at each of these in turn.
    fn said(paths: &[Option<Path>]) -> Vec<String> {
        let log = Log::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt().with_ansi(false).without_time().with_writer(move || writer.clone());
        tracing::subscriber::with_default(subscriber.finish(), || {
            let mut soundness = Soundness::default();
            for path in paths {
                soundness.note(*path);
            }
        });
        let bytes = log.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap().lines().map(|line| line.trim().to_owned()).collect()
    }

    #[test]
    fn a_processor_that_computes_wrongly_is_an_error_that_is_said_once() {
        for why in [Why::SelfTestFailed, Why::FaultFound] {
            let faulty = Some(Path::Portable(why));
            let lines = said(&[None, Some(Path::Lanes), faulty, faulty, None, faulty]);
            let [start, error] = lines.as_slice() else { panic!("{lines:?}") };
            assert!(start.starts_with("INFO") && start.ends_with("EdDSA signatures in vector lanes"), "{start}");
            assert!(error.starts_with("ERROR") && error.contains("do not trust this machine"), "{error}");
            assert!(error.ends_with(&format!("reason={why:?}")), "{error}");
        }
    }

    #[test]
    fn what_the_operator_chose_and_what_a_processor_lacks_is_no_error() {
        for why in [Why::SwitchedOff, Why::Unsupported] {
            let lines = said(&[Some(Path::Portable(why)); 3]);
            assert!(
                matches!(lines.as_slice(), [line] if line.starts_with("INFO") && line.contains(&format!("{why:?}"))),
                "{lines:?}"
            );
        }
        assert!(said(&[None]).is_empty());
    }
}
