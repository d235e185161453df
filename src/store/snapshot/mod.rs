//! What a server knew, on its own disk: so that it can be started again while the store is gone.
//!
//! Clients, signing keys and revocations of one moment, encrypted under the master key and bound to each other. Leaves
//! when to write it to `app`, and whether to use it to whoever starts the server.
//!
//! Invariants:
//! - A file is whole or of no use: written under another name, put on the disk, then renamed; a piece that is
//!   missing, altered or of another file spoils all of it.
//! - It is as old as the last answer of the store before it, by whichever clock says more: [`Taken::age`] never says
//!   less than the truth while the machine runs, and where that cannot be told there is no age.

mod taken;

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::cached::CachedClient;
use super::{KeyRecords, Revocation};
use crate::clock::UnixTime;
use crate::jwt::TokenId;
use crate::keys::stream::TAG_BYTES;
use crate::keys::{KeyRecord, MasterKey, MasterKeyCheck, Stream};
use crate::oauth::Client;

pub use taken::Taken;

/// The first bytes of a file.
const MAGIC: &[u8; 16] = b"jeton snapshot 1";
/// What its key is drawn for.
const LABEL: &str = "jeton snapshot encryption";
/// How much is encrypted at a time.
const PIECE: usize = 64 * 1024;
/// Marks the length of the last piece.
const LAST: u32 = 1 << 31;
/// How many revocations stand in one line.
const REVOCATIONS_PER_LINE: usize = 1000;

/// What a server knows at a moment.
#[derive(Clone, Debug)]
pub struct Knowledge {
    /// When the store had answered last.
    pub taken: Taken,
    /// The signing keys.
    pub keys: KeyRecords,
    /// The clients in memory.
    pub clients: Vec<CachedClient>,
    /// What is revoked.
    pub revocations: Vec<Revocation>,
}

/// What a server knew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// When the store had answered last.
    pub taken: Taken,
    /// The signing keys.
    pub keys: KeyRecords,
    /// The clients that were in memory.
    pub clients: Vec<Client>,
    /// What was revoked.
    pub revocations: Vec<Revocation>,
}

/// One line of a file's text; the first is the head, the last the end.
#[derive(Serialize, Deserialize)]
enum Line<C> {
    Head { taken: Taken, check: MasterKeyCheck, keys: Vec<KeyRecord>, revision: u64 },
    Client(C),
    Revoked(Vec<(u128, UnixTime)>),
}

/// Writes a snapshot in place of the last one; its owner alone can read it. `salt` is 256 random bits.
///
/// # Errors
/// When the file cannot be written; the last one is still there then.
pub fn write(path: &Path, known: &Knowledge, (master, salt): (&MasterKey, [u8; 32])) -> io::Result<()> {
    let fresh = beside(path);
    // A leftover of a crash is half a file at most.
    drop(fs::remove_file(&fresh));
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)?;
    let written = write_text(&file, known, (master, salt)).and_then(|()| file.sync_all());
    let put = written.and_then(|()| fs::rename(&fresh, path));
    if put.is_err() {
        drop(fs::remove_file(&fresh));
    }
    put?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    PathBuf::from(name)
}

fn write_text(file: &File, known: &Knowledge, (master, salt): (&MasterKey, [u8; 32])) -> io::Result<()> {
    let mut out = BufWriter::new(file);
    out.write_all(MAGIC)?;
    out.write_all(&salt)?;
    let mut sealed = Sealed { out, stream: master.stream(LABEL, &salt), piece: Vec::with_capacity(PIECE) };
    let KeyRecords { check, keys, revision } = known.keys.clone();
    sealed.line(&Line::<&Client>::Head { taken: known.taken.clone(), check, keys, revision })?;
    for known in &known.clients {
        sealed.line(&Line::Client(known.client()))?;
    }
    for some in known.revocations.chunks(REVOCATIONS_PER_LINE) {
        let some = some.iter().map(|revoked| (u128::from_be_bytes(revoked.token.0), revoked.expires_at));
        sealed.line(&Line::<&Client>::Revoked(some.collect()))?;
    }
    sealed.end()
}

/// Text on its way into pieces.
struct Sealed<W> {
    out: W,
    stream: Stream,
    piece: Vec<u8>,
}

impl<W: Write> Sealed<W> {
    fn line(&mut self, line: &impl Serialize) -> io::Result<()> {
        serde_json::to_writer(&mut self.piece, line)?;
        self.piece.push(b'\n');
        while self.piece.len() > PIECE {
            let rest = self.piece.split_off(PIECE);
            let full = std::mem::replace(&mut self.piece, rest);
            self.put(&full, false)?;
        }
        Ok(())
    }

    fn end(mut self) -> io::Result<()> {
        let rest = std::mem::take(&mut self.piece);
        self.put(&rest, true)?;
        self.out.flush()
    }

    fn put(&mut self, piece: &[u8], is_last: bool) -> io::Result<()> {
        let sealed = self.stream.seal(piece, is_last).map_err(io::Error::other)?;
        let length = u32::try_from(sealed.len()).map_err(io::Error::other)? | if is_last { LAST } else { 0 };
        self.out.write_all(&length.to_be_bytes())?;
        self.out.write_all(&sealed)
    }
}

/// Why a snapshot is of no use.
#[derive(Debug)]
pub enum SnapshotError {
    /// There is none.
    Missing,
    /// It cannot be read.
    Io(io::Error),
    /// It is not whole, was altered, or was written under another master key or by another version.
    Spoilt,
}

impl fmt::Display for SnapshotError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("there is none"),
            Self::Io(error) => write!(f, "it cannot be read: {error}"),
            Self::Spoilt => f.write_str(
                "it is not whole, was altered, or was written under another master key or by another version",
            ),
        }
    }
}

impl std::error::Error for SnapshotError {}

impl From<io::Error> for SnapshotError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => Self::Missing,
            io::ErrorKind::UnexpectedEof => Self::Spoilt,
            _ => Self::Io(error),
        }
    }
}

/// Reads a snapshot, all of it or nothing.
///
/// # Errors
/// When it is of no use.
pub fn read(path: &Path, master: &MasterKey) -> Result<Snapshot, SnapshotError> {
    let mut file = BufReader::new(File::open(path)?);
    let (mut magic, mut salt) = ([0; MAGIC.len()], [0; 32]);
    file.read_exact(&mut magic)?;
    file.read_exact(&mut salt)?;
    if magic != *MAGIC {
        return Err(SnapshotError::Spoilt);
    }
    let mut reading = Reading { stream: master.stream(LABEL, &salt), found: None };
    let mut rest = Vec::new();
    loop {
        let (piece, is_last) = reading.piece(&mut file)?;
        rest.extend_from_slice(&piece);
        let whole = rest.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let next = rest.split_off(whole);
        for line in rest.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            reading.line(line)?;
        }
        rest = next;
        if is_last {
            let is_end = rest.is_empty() && file.read(&mut [0])? == 0;
            return reading.found.filter(|_| is_end).ok_or(SnapshotError::Spoilt);
        }
    }
}

struct Reading {
    stream: Stream,
    found: Option<Snapshot>,
}

impl Reading {
    fn piece(&mut self, file: &mut impl Read) -> Result<(Vec<u8>, bool), SnapshotError> {
        let mut length = [0; 4];
        file.read_exact(&mut length)?;
        let length = u32::from_be_bytes(length);
        let (length, is_last) = (length & !LAST, length & LAST != 0);
        let length = usize::try_from(length).ok().filter(|length| *length <= PIECE + TAG_BYTES);
        let mut sealed = vec![0; length.ok_or(SnapshotError::Spoilt)?];
        file.read_exact(&mut sealed)?;
        let piece = self.stream.open(&sealed, is_last).map_err(|_| SnapshotError::Spoilt)?;
        Ok((piece, is_last))
    }

    fn line(&mut self, line: &[u8]) -> Result<(), SnapshotError> {
        let line: Line<Client> = serde_json::from_slice(line).map_err(|_| SnapshotError::Spoilt)?;
        match (line, &mut self.found) {
            (Line::Head { taken, check, keys, revision }, none @ None) => {
                let keys = KeyRecords { check, keys, revision };
                *none = Some(Snapshot { taken, keys, clients: Vec::new(), revocations: Vec::new() });
            }
            (Line::Client(client), Some(found)) => found.clients.push(client),
            (Line::Revoked(some), Some(found)) => found.revocations.extend(
                some.into_iter()
                    .map(|(token, expires_at)| Revocation { token: TokenId(token.to_be_bytes()), expires_at }),
            ),
            _ => return Err(SnapshotError::Spoilt),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::clock::Clock;
    use crate::oauth::ClientId;
    use crate::store::cache::ClientCache;
    use crate::store::cached::TokenDefaults;
    use crate::store::memory::MemoryStore;

    fn client(number: u32) -> Client {
        let id = ClientId::parse(&format!("c_{number}")).unwrap();
        let text = format!(
            r#"{{"id":"{id}","name":"n","enabled":true,"may_request_tokens":true,"scope":"a","created_at":5,"revision":7}}"#
        );
        serde_json::from_str(&text).unwrap()
    }

    fn knowledge(master: &MasterKey, clients: u32) -> Knowledge {
        let cache = ClientCache::new(Arc::new(MemoryStore::default()), TokenDefaults::example(), 10_000);
        assert!(cache.take_in((0..clients).map(client).collect(), 0));
        let token = |number: u32| TokenId(std::array::from_fn(|at| number.to_be_bytes()[at % 4]));
        let revocation =
            |number| Revocation { token: token(number), expires_at: UnixTime::from_seconds(number.into()) };
        Knowledge {
            taken: Taken::before(Clock::System.now(), Duration::ZERO),
            keys: KeyRecords { check: master.check(), keys: Vec::new(), revision: 3 },
            clients: cache.all_known(),
            revocations: (0..2500).map(revocation).collect(),
        }
    }

    #[test]
    fn what_was_known_is_known_again_and_nobody_else_can_read_it() {
        let (folder, master) = (tempfile::tempdir().unwrap(), MasterKey::from_random([3; 32]));
        let path = folder.path().join("snapshot");
        assert!(matches!(read(&path, &master), Err(SnapshotError::Missing)));
        for (clients, salt) in [(0, 1), (3, 2), (2000, 3)] {
            let known = knowledge(&master, clients);
            write(&path, &known, (&master, [salt; 32])).unwrap();
            let mut found = read(&path, &master).unwrap();
            found.clients.sort_by_key(|client| client.id.as_str()[2..].parse::<u32>().unwrap());
            assert_eq!(found.clients, (0..clients).map(client).collect::<Vec<_>>());
            assert_eq!((&found.taken, &found.keys), (&known.taken, &known.keys));
            assert_eq!(found.revocations, known.revocations);
        }
        let bytes = fs::read(&path).unwrap();
        assert!(bytes.len() > 3 * PIECE && !bytes.windows(7).any(|window| window == b"created"));
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn a_file_that_is_cut_altered_or_foreign_is_of_no_use() {
        let (folder, master) = (tempfile::tempdir().unwrap(), MasterKey::from_random([3; 32]));
        let path = folder.path().join("snapshot");
        write(&path, &knowledge(&master, 1000), (&master, [7; 32])).unwrap();
        let whole = fs::read(&path).unwrap();
        let is_spoilt = |bytes: &[u8], master: &MasterKey| {
            fs::write(&path, bytes).unwrap();
            matches!(read(&path, master), Err(SnapshotError::Spoilt))
        };
        assert!(is_spoilt(&whole, &MasterKey::from_random([4; 32])), "another master key");
        for length in (0..whole.len()).step_by(4999).chain([15, 16, 47, 48, 51, 52, whole.len() - 1]) {
            assert!(is_spoilt(&whole[..length], &master), "cut to {length}");
        }
        for at in (0..whole.len()).step_by(5003).chain([0, 15, 16, 47, 48, 49, 50, 51, 52, whole.len() - 1]) {
            let mut altered = whole.clone();
            altered[at] ^= 0x40;
            assert!(is_spoilt(&altered, &master), "altered at {at}");
        }
        assert!(is_spoilt(&[&whole[..], b"x"].concat(), &master), "something comes after its end");
        let first = 52 + PIECE + TAG_BYTES;
        assert!(is_spoilt(&[&whole[..48], &whole[first..]].concat(), &master), "the first piece is missing");
        fs::write(&path, &whole).unwrap();
        assert!(read(&path, &master).is_ok());
    }

    #[test]
    fn what_cannot_be_written_leaves_the_last_one() {
        let (folder, master) = (tempfile::tempdir().unwrap(), MasterKey::from_random([3; 32]));
        let path = folder.path().join("snapshot");
        write(&path, &knowledge(&master, 2), (&master, [1; 32])).unwrap();
        // Its other name is taken by what cannot be removed.
        fs::create_dir(beside(&path)).unwrap();
        assert!(write(&path, &knowledge(&master, 9), (&master, [2; 32])).is_err());
        assert_eq!(read(&path, &master).unwrap().clients.len(), 2);
        fs::remove_dir(beside(&path)).unwrap();
        fs::write(beside(&path), "half of one").unwrap();
        write(&path, &knowledge(&master, 9), (&master, [3; 32])).unwrap();
        assert_eq!(read(&path, &master).unwrap().clients.len(), 9);
    }
}
