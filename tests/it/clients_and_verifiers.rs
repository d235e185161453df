//! Real clients get tokens, and real verifiers accept them.
