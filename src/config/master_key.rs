//! Where the master key comes from, and the first unlocking of a store with it.
//!
//! With SQLite and no file named, the key lies beside the database and is made with it; it is never made for a
//! store that already has keys. With Redis it must be given, since every server needs the same one. A file that others
//! can read is refused.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::{Config, ConfigError};
use crate::keys::{MasterKey, RecordSeal};
use crate::store::{StoreOptions, StoreUrl};

const MAX_FILE_BYTES: u64 = 4096;

/// Where the master key of this configuration lies; `None` for a store in memory, whose key dies with it, and when it
/// must be named but is not ([`check_given`]).
#[must_use]
pub fn path(config: &Config) -> Option<PathBuf> {
    match (&config.master_key_file, &config.store.url) {
        (Some(path), _) => Some(path.clone()),
        (None, StoreUrl::Sqlite(database)) => {
            let mut name = database.as_os_str().to_owned();
            name.push(".master-key");
            Some(PathBuf::from(name))
        }
        (None, StoreUrl::Redis(_) | StoreUrl::Memory) => None,
    }
}

/// The sentence for a store that several servers share while none of them was told where the master key is.
///
/// # Errors
/// When that is so.
pub fn check_given(config: &Config) -> Result<(), ConfigError> {
    if config.master_key_file.is_some() || may_be_made(config) {
        return Ok(());
    }
    Err(ConfigError::new(
        "master_key_file is not set: with a store in Redis it must be, since every server needs the same key (make one \
         by 'head -c 32 /dev/urandom | basenc --base64url | tr -d = > FILE; chmod 600 FILE')",
    ))
}

/// What a store is opened with: for one that others can write to, the marks of the records under the master key.
///
/// # Errors
/// When the master key is needed for that and cannot be read.
pub fn store_options(config: &Config) -> Result<StoreOptions, ConfigError> {
    let redis = config.store.redis.clone();
    if may_be_made(config) {
        return Ok(StoreOptions { redis, seal: None });
    }
    check_given(config)?;
    let master = path(config).map(|path| read(&path)).transpose()?;
    Ok(StoreOptions { redis, seal: master.as_ref().map(RecordSeal::new) })
}

/// Whether a key that is missing may be made: not for a store that other machines use as well.
#[must_use]
pub const fn may_be_made(config: &Config) -> bool {
    !matches!(config.store.url, StoreUrl::Redis(_))
}

/// The sentence for a database that is gone while the master key that was made with it is still there: it was lost,
/// and a new one in its place would hide that.
///
/// # Errors
/// When the database is missing.
pub fn check_not_orphaned(config: &Config) -> Result<(), ConfigError> {
    let (None, StoreUrl::Sqlite(database), Some(key)) = (&config.master_key_file, &config.store.url, path(config))
    else {
        return Ok(());
    };
    // The key is made last, so whoever sees it first sees its database, too.
    if fs::symlink_metadata(&key).is_ok() && fs::metadata(database).is_err() {
        return Err(ConfigError::new(format!(
            "{} is missing, but its master key is there: restore the database, or remove {} to begin anew",
            database.display(),
            key.display()
        )));
    }
    Ok(())
}

/// Reads the master key of a store that has keys.
///
/// # Errors
/// When the file is missing, a link, somebody else's, can be read by others or holds something else.
pub fn read(path: &Path) -> Result<MasterKey, ConfigError> {
    let name = path.display();
    let wrong = |what: &str| ConfigError::new(format!("the master key file {name} {what}"));
    let metadata = fs::symlink_metadata(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => {
            wrong("is missing: restore it from its backup, the store's keys and secrets are useless without it")
        }
        _ => wrong(&format!("cannot be read: {error}")),
    })?;
    if metadata.is_symlink() {
        return Err(wrong("is a symbolic link: name the file itself"));
    }
    if !metadata.is_file() || metadata.len() > MAX_FILE_BYTES {
        return Err(wrong("is not a key file"));
    }
    if metadata.mode() & 0o077 != 0 {
        return Err(wrong("can be read by others: chmod 600 it, and consider the key known"));
    }
    if own_user().is_some_and(|own| metadata.uid() != own && metadata.uid() != 0) {
        return Err(wrong("belongs to another user: chown it, and consider the key known"));
    }
    let text = fs::read_to_string(path).map_err(|error| wrong(&format!("cannot be read: {error}")))?;
    MasterKey::parse(&Zeroizing::new(text)).map_err(|error| wrong(&format!("is damaged: {error}")))
}

/// Who this process acts as; `None` where the system does not say.
fn own_user() -> Option<u32> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    status.lines().find_map(|line| line.strip_prefix("Uid:"))?.split_whitespace().nth(1)?.parse().ok()
}

/// Makes the master key of a new store: nobody else can read it, and it is whole and on the disk before it has its
/// name. A file that is there already is read instead.
///
/// # Errors
/// When the file cannot be written, or read.
pub fn read_or_make(path: &Path, random: [u8; 32]) -> Result<MasterKey, ConfigError> {
    if fs::symlink_metadata(path).is_ok() {
        return read(path);
    }
    let mut fresh = path.as_os_str().to_owned();
    fresh.push(format!(".new-{}", std::process::id()));
    let made = make(path, Path::new(&fresh), &MasterKey::from_random(random));
    drop(fs::remove_file(&fresh));
    match made {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(ConfigError::new(format!("the master key file {} cannot be made: {error}", path.display())))
        }
        // The first one's, if another process came first.
        _ => read(path),
    }
}

fn make(path: &Path, fresh: &Path, key: &MasterKey) -> io::Result<()> {
    drop(fs::remove_file(fresh));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(fresh)?;
    file.write_all(key.encode().as_bytes())?;
    file.write_all(b"\n")?;
    file.sync_all()?;
    fs::hard_link(fresh, path)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn k05_a_key_is_made_once_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let made = read_or_make(&path, [1; 32]).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(read_or_make(&path, [2; 32]).unwrap().check(), made.check());
        assert_eq!(read(&path).unwrap().check(), made.check());
    }

    #[test]
    fn k05_p13_a_lost_open_or_foreign_key_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let sentence = |path: &Path| read(path).unwrap_err().to_string();
        assert!(sentence(&path).contains("is missing"));
        assert!(sentence(folder.path()).contains("is not a key file"));
        read_or_make(&path, [1; 32]).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(sentence(&path).contains("can be read by others"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(sentence(&link).contains("is a symbolic link"));
        fs::write(&path, "AQEB").unwrap();
        assert!(sentence(&path).contains("is damaged") && !sentence(&path).contains("AQEB"));
    }
}
