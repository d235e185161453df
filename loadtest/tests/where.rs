//! What `where` says of samples. It is Python, and so are its tests.

use std::path::Path;
use std::process::Command;

#[test]
fn a_sample_counts_with_the_function_it_was_taken_in_wherever_the_compiler_put_that() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/where.py");
    let output = Command::new("python3").arg("-B").arg(tests).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
