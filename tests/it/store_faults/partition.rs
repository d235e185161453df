//! A server that cannot reach the store while the keys roll: it goes on for a while, and never for too long.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::support::{Client, GENEROUS, GRANT, Home, Server, need, segment, wait_for};

/// A new key waits 8 s (max-age, skew, grace and the spread), the old one goes 9 s after it.
const QUICK: &str = "issuer = \"http://localhost:1\"\n[keys]\njwks_max_age = \"1s\"\nclock_skew = \"1s\"\n\
                     [token]\nlifetime = \"1s\"\nmax_lifetime = \"2s\"\n[store]\noutage_grace = \"4s\"\n";

/// Another way to a folder, that can be cut.
struct View(TempDir);

impl View {
    fn of(folder: &Path) -> Self {
        need("mount");
        let view = Self(tempfile::tempdir().unwrap());
        view.mount(folder);
        view
    }

    fn mount(&self, folder: &Path) {
        let status = Command::new("mount").arg("--bind").arg(folder).arg(self.0.path()).status().unwrap();
        assert!(status.success(), "this test mounts a folder, which needs root");
    }

    fn cut(&self) {
        assert!(Command::new("umount").arg("-l").arg(self.0.path()).status().unwrap().success());
    }
}

impl Drop for View {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).output();
    }
}

/// The key that a token was signed with, or the status of the refusal.
fn ask(server: &Server, client: &Client) -> Result<String, u16> {
    let answer = server.ask(client, GRANT);
    if answer.status != 200 {
        return Err(answer.status);
    }
    Ok(segment(&answer.access_token(), 0)["kid"].as_str().unwrap().to_owned())
}

fn published(server: &Server) -> String {
    server.get("/.well-known/jwks.json").text()
}

/// K-04: cut off before the rotation, through all of it, and back.
#[test]
fn k04_a_server_that_misses_a_rotation_goes_on_with_the_old_key_then_refuses_and_never_passes_its_removal() {
    let home = Home::new();
    let client = home.usual_client();
    let folder = home.folder.path().to_owned();
    let view = View::of(&folder);
    let first = home.serve(&format!("{QUICK}{GENEROUS}"));
    let second = Home::within(view.0.path()).serve(&format!("{QUICK}{GENEROUS}"));
    let old = wait_for("both sign", || ask(&first, &client).ok().zip(ask(&second, &client).ok())).0;
    view.cut();
    first.home.json(&["key", "rotate"]);
    let (mut went_on, mut refused_at, started) = (0, None, Instant::now());
    while published(&first).contains(&old) {
        assert!(started.elapsed() < Duration::from_mins(1), "the old key was never removed");
        // Before it is asked, so that a key that goes meanwhile is none that was gone.
        let before = published(&first);
        match ask(&second, &client) {
            Ok(kid) => {
                assert!(before.contains(&kid), "signed by a key that the others no longer publish");
                assert_eq!(kid, old, "it knows no other");
                assert!(refused_at.is_none(), "what is refused stays so until the store is back");
                went_on += 1;
            }
            Err(status) => {
                assert_eq!(status, 503);
                refused_at.get_or_insert_with(Instant::now);
            }
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(went_on > 10 && refused_at.is_some(), "went on {went_on} times, refused {refused_at:?}");
    assert_eq!(ask(&second, &client), Err(503), "not with a key that was removed");
    assert_eq!(second.ops("/readyz").status, 503);
    view.mount(&folder);
    let kid = wait_for("it is back", || ask(&second, &client).ok());
    assert_eq!(Ok(kid), ask(&first, &client), "with the key that signs now");
    second.wait_until_ready(true);
}
