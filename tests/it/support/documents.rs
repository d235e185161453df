//! Blocks of the project's documents, so that what they show can be run.

use super::project;

/// A document of the project.
pub fn document(name: &str) -> String {
    std::fs::read_to_string(project().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The blocks of one kind in a document, with the lines they begin at.
pub fn blocks(text: &str, kind: &str) -> Vec<(usize, String)> {
    let (mut blocks, mut open) = (Vec::new(), None::<(usize, String)>);
    let opening = format!("```{kind}");
    for (number, line) in (1..).zip(text.lines()) {
        match &mut open {
            None if line.trim() == opening => open = Some((number + 1, String::new())),
            None => {}
            Some(_) if line.trim() == "```" => blocks.extend(open.take()),
            Some((_, block)) => {
                block.push_str(line);
                block.push('\n');
            }
        }
    }
    assert!(open.is_none(), "a block without an end");
    blocks
}
