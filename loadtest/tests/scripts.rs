//! What the scripts make of their figures. They are Python, and so are their tests.

use std::io;
use std::path::Path;
use std::process::Command;

fn passes(tests: &str) -> io::Result<()> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(tests);
    let output = Command::new("python3").arg("-B").arg(file).output()?;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

#[test]
fn a_sample_counts_with_the_function_it_was_taken_in_wherever_the_compiler_put_that() -> io::Result<()> {
    passes("where.py")
}

#[test]
fn builds_differ_where_their_rounds_agree_about_it_and_what_is_no_build_is_refused() -> io::Result<()> {
    passes("versus.py")
}

#[test]
fn every_script_says_how_it_is_used_and_every_name_that_it_asks_of_a_module_is_there() -> io::Result<()> {
    passes("names.py")
}
