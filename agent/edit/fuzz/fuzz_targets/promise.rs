//! What must hold for every input. An input is JSON text of changes, a zero byte, and the file; without changes that can be read, all of it is the
//! file and a few fixed changes are made.

use bootsplice_edit::{Change, Format, Outcome, apply};

/// Panics when a promise is broken.
pub fn keep(format: Format, input: &[u8]) {
    let (changes, file) = split(format, input);
    let Ok(Outcome::Changed(after)) = apply(format, Some(file), false, &changes) else {
        return;
    };
    assert_ne!(after, file, "`Changed` without a change");
    let again = apply(format, Some(&after), false, &changes);
    assert!(
        matches!(again, Ok(Outcome::Unchanged)),
        "a second run gave {again:?} for {changes:?} on {}",
        file.escape_ascii()
    );
}

fn split(format: Format, input: &[u8]) -> (Vec<Change>, &[u8]) {
    if let Some(end) = input.iter().position(|&byte| byte == 0)
        && let Ok(changes) = serde_json::from_slice(&input[..end])
    {
        return (changes, &input[end + 1..]);
    }
    let at = |path: &str| match format {
        Format::KeyValue => path.replace("/a", ""),
        _ => path.to_owned(),
    };
    let changes = vec![
        Change::set(at("/a/b"), 7),
        Change::append(at("/a/c"), "x"),
        Change::remove(at("/a/d")),
    ];
    (changes, input)
}
