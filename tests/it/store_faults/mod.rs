//! Faults of the database file: what commands and the store itself do about them.

mod crash;
mod disk;
mod files;
mod keys;
mod partition;
mod restore;
mod versions;
mod writer;
