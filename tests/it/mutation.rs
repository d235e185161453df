//! Mutated requests: whatever arrives, the answer is well-formed HTTP and no 5xx.
