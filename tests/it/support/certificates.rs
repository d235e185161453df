//! A certificate authority of a test's own, and what it certifies.

use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

use super::faults::faketime_library;
use super::need;
use super::nursery::file;

/// A folder with `ca.pem`, `server.pem` and `server.key`, good for 127.0.0.1.
pub struct Certificates {
    folder: TempDir,
}

impl Certificates {
    pub fn new() -> Self {
        Self::as_of("+0")
    }

    /// Made when the clock was this far from now, as `-3d`; good for a day.
    pub fn as_of(when: &str) -> Self {
        let certificates = Self { folder: tempfile::tempdir().unwrap() };
        let names = "basicConstraints=CA:FALSE\nsubjectAltName=IP:127.0.0.1\n";
        file(&certificates.folder, "names", names);
        let curve = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
        for line in [
            format!("req -x509 {curve} -keyout ca.key -out ca.pem -days 3650 -subj /CN=authority"),
            format!("req {curve} -keyout server.key -out server.csr -subj /CN=server"),
            "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -out server.pem -days 1 -extfile names".to_owned(),
        ] {
            certificates.openssl(when, &line);
        }
        certificates
    }

    fn openssl(&self, when: &str, line: &str) {
        need("openssl");
        need("faketime");
        let mut command = Command::new("openssl");
        command.args(line.split(' ')).current_dir(self.folder.path());
        command.env("LD_PRELOAD", faketime_library()).env("FAKETIME", when);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}
