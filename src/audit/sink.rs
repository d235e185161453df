//! Where lines go: standard output, or a file that is rotated by its size.
//!
//! Several processes may append to one file: every batch is whole lines in one `write`. A file that was moved away,
//! by us or by another program such as logrotate, is made anew.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// When a file is put aside, and how many of them are kept.
#[derive(Clone, Copy, Debug)]
pub struct Rotation {
    /// Largest size of a file in bytes.
    pub bytes: u64,
    /// Files kept beside the one that is written.
    pub files: u32,
}

/// A place for lines.
#[derive(Debug)]
pub struct Sink {
    target: Target,
    /// How much of the last batch went out before it failed.
    written: usize,
}

#[derive(Debug)]
enum Target {
    Stdout,
    File {
        path: PathBuf,
        rotation: Rotation,
        open: File,
    },
    #[cfg(test)]
    Broken,
}

impl Sink {
    /// Standard output.
    #[must_use]
    pub const fn stdout() -> Self {
        Self { target: Target::Stdout, written: 0 }
    }

    /// A file, made with mode 0600 where it is missing.
    ///
    /// # Errors
    /// When it cannot be opened for appending.
    pub fn file(path: &Path, rotation: Rotation) -> io::Result<Self> {
        Ok(Self { target: Target::File { path: path.to_owned(), rotation, open: open(path)? }, written: 0 })
    }

    /// One that panics when it is written to.
    #[cfg(test)]
    pub(super) const fn broken() -> Self {
        Self { target: Target::Broken, written: 0 }
    }

    /// Writes whole lines.
    ///
    /// # Errors
    /// What the system reports; [`Sink::forget_what_was_written`] then says what is left.
    pub fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        self.written = 0;
        if lines.is_empty() {
            return Ok(());
        }
        match &mut self.target {
            Target::Stdout => write_all(&mut io::stdout().lock(), lines, &mut self.written),
            Target::File { path, rotation, open } => {
                renew(path, *rotation, open, lines.len())?;
                write_all(open, lines, &mut self.written)
            }
            #[cfg(test)]
            Target::Broken => break_down(),
        }
    }

    /// Takes the part that went out before the failure off `lines`.
    pub fn forget_what_was_written(&mut self, lines: &mut Vec<u8>) {
        lines.drain(..std::mem::take(&mut self.written).min(lines.len()));
    }
}

#[cfg(test)]
fn break_down() -> io::Result<()> {
    panic!("a bug")
}

fn write_all(target: &mut impl Write, lines: &[u8], written: &mut usize) -> io::Result<()> {
    while let Some(rest) = lines.get(*written..).filter(|rest| !rest.is_empty()) {
        match target.write(rest) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(length) => *written += length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    target.flush()
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}

/// Puts a file aside that would grow too long, and follows one that was moved.
fn renew(path: &Path, rotation: Rotation, file: &mut File, coming: usize) -> io::Result<()> {
    let held = file.metadata()?;
    let named = match fs::metadata(path) {
        Ok(named) => (named.dev(), named.ino()) == (held.dev(), held.ino()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => false,
        Err(error) => return Err(error),
    };
    if named && (held.len() == 0 || held.len() + coming as u64 <= rotation.bytes) {
        return Ok(());
    }
    if named {
        for number in (1..rotation.files).rev() {
            let older = numbered(path, number);
            if older.exists() {
                fs::rename(older, numbered(path, number + 1))?;
            }
        }
        if rotation.files == 0 { fs::remove_file(path)? } else { fs::rename(path, numbered(path, 1))? }
    }
    *file = open(path)?;
    Ok(())
}

fn numbered(path: &Path, number: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_put_aside_before_it_grows_too_long_and_the_oldest_goes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.log");
        let mut sink = Sink::file(&path, Rotation { bytes: 10, files: 2 }).unwrap();
        for line in ["first\n", "second\n", "third\n", "fourth\n"] {
            sink.write(line.as_bytes()).unwrap();
        }
        let text = |path: &Path| fs::read_to_string(path).unwrap_or_default();
        assert_eq!(
            [text(&path), text(&numbered(&path, 1)), text(&numbered(&path, 2)), text(&numbered(&path, 3))],
            ["fourth\n", "third\n", "second\n", ""]
        );
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_file_that_was_moved_away_is_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let (path, aside) = (folder.path().join("audit.log"), folder.path().join("aside"));
        let mut sink = Sink::file(&path, Rotation { bytes: 1000, files: 1 }).unwrap();
        sink.write(b"one\n").unwrap();
        fs::rename(&path, &aside).unwrap();
        sink.write(b"two\n").unwrap();
        assert_eq!((fs::read(&aside).unwrap(), fs::read(&path).unwrap()), (b"one\n".to_vec(), b"two\n".to_vec()));
    }

    #[test]
    fn what_failed_half_way_goes_on_where_it_stopped() {
        let mut sink = Sink::stdout();
        sink.written = 4;
        let mut lines = b"one\ntwo\n".to_vec();
        sink.forget_what_was_written(&mut lines);
        assert_eq!(lines, b"two\n");
    }
}
