//! Faults of the database file.
