//! deb822 style: paragraphs of fields (deb822(5)).

use super::SourceError;
use super::options::Entry;

pub(super) fn entries(text: &str, name: &str) -> Vec<Result<Entry, SourceError>> {
    let mut found = Vec::new();
    let mut current: Option<Result<Entry, SourceError>> = None;
    let mut field: Option<(String, String)> = None;
    for (index, line) in text.lines().chain([""]).enumerate() {
        if line.starts_with('#') {
            continue;
        }
        let at = format!("{name}, line {}", index + 1);
        if let Some(more) = line.strip_prefix([' ', '\t'])
            && !line.trim().is_empty()
        {
            match &mut field {
                Some((_, value)) => {
                    value.push('\n');
                    // A lone dot stands for an empty line.
                    value.push_str(if more == "." { "" } else { more });
                }
                None => current = Some(Err(wrong(at, "a continuation of no field"))),
            }
            continue;
        }
        if let Some((key, value)) = field.take()
            && let Some(Ok(entry)) = &mut current
            && let Err(error) = entry.set(&key.to_ascii_lowercase(), &value)
        {
            current = Some(Err(error));
        }
        if line.trim().is_empty() {
            found.extend(current.take());
            continue;
        }
        let entry = current.get_or_insert_with(|| Ok(Entry::new(at.clone())));
        match line.split_once(':') {
            Some((key, value)) if !key.is_empty() => {
                field = Some((key.to_owned(), value.trim().to_owned()));
            }
            _ => *entry = Err(wrong(at, &format!("`{line}` is no `Field: value`"))),
        }
    }
    found
}

fn wrong(at: String, what: &str) -> SourceError {
    SourceError {
        at,
        what: what.to_owned(),
    }
}
