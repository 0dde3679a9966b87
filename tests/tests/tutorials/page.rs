//! The commands of a page: its fenced blocks of `sh`, in order.

use std::path::Path;

use anyhow::{Context, Result, bail};

/// A block of commands.
#[derive(Debug, PartialEq, Eq)]
pub struct Block {
    /// `tutorial-rust.md:42`, the line of its first command.
    pub place: String,
    pub commands: String,
}

/// The blocks of a page in `docs/plugins`.
pub fn blocks(page: &Path) -> Result<Vec<Block>> {
    let text = std::fs::read_to_string(page).with_context(|| page.display().to_string())?;
    let name = page.file_name().context("a page's name")?.to_string_lossy();
    let blocks = parse(&name, &text)?;
    if blocks.is_empty() {
        bail!("{name} has no commands");
    }
    Ok(blocks)
}

/// Only ```` ```sh ````: output stands in ```` ```text ````, and what is for reading alone has another language or none.
fn parse(name: &str, text: &str) -> Result<Vec<Block>> {
    let mut blocks = Vec::new();
    let mut fence: Option<Option<Block>> = None;
    for (index, line) in text.lines().enumerate() {
        match (&mut fence, line.strip_prefix("```")) {
            (None, Some(language)) => {
                fence = Some((language.trim() == "sh").then(|| Block {
                    place: format!("{name}:{}", index + 2),
                    commands: String::new(),
                }));
            }
            (Some(_), Some("")) => blocks.extend(fence.take().flatten()),
            (Some(Some(block)), _) => {
                block.commands.push_str(line);
                block.commands.push('\n');
            }
            (Some(None), _) | (None, None) => {}
        }
    }
    if fence.is_some() {
        bail!("{name} ends within a block");
    }
    Ok(blocks)
}

#[test]
fn only_blocks_of_sh_are_commands_and_each_knows_its_line() -> Result<()> {
    let text = "# T\n```sh\na\nb\n```\ntext\n```text\nout\n```\n```sh\nc\n```\n";
    let block = |place: &str, commands: &str| Block {
        place: place.to_owned(),
        commands: commands.to_owned(),
    };
    let expected = [block("t.md:3", "a\nb\n"), block("t.md:11", "c\n")];
    assert_eq!(parse("t.md", text)?, expected);
    assert!(parse("t.md", "```sh\na\n").is_err());
    Ok(())
}
