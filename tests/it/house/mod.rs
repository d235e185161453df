//! What is true of the project's files: who imports whom, what it is built from, what its documents say, how its counts
//! are judged.

mod commands;
mod counts;
mod dependencies;
mod documents;
mod fuzzing;
mod layering;

use std::path::{Path, PathBuf};

use crate::support::project;

/// The project's own files below `folder`, what is built or fetched left out.
fn files(folder: &str) -> Vec<PathBuf> {
    let (mut found, mut folders) = (Vec::new(), vec![project().join(folder)]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().map(Result::unwrap) {
            let name = entry.file_name();
            let skipped = ["target", ".git", "node_modules", "__pycache__", ".venv"].iter().any(|skip| name == **skip);
            match entry.file_type().unwrap() {
                _ if skipped => {}
                kind if kind.is_dir() => folders.push(entry.path()),
                kind if kind.is_file() => found.push(entry.path()),
                _ => {}
            }
        }
    }
    found.sort();
    found
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A file's path as the project names it.
fn name(path: &Path) -> String {
    path.strip_prefix(project()).unwrap_or(path).display().to_string()
}

fn has_extension(path: &Path, extension: &str) -> bool {
    path.extension().is_some_and(|found| found == extension)
}

/// The first `toml` table of a file of the project.
fn toml(file: &str) -> toml::Table {
    read(&project().join(file)).parse().unwrap_or_else(|error| panic!("{file}: {error}"))
}
