//! One-line style: `deb [ option=value … ] uri suite [component …]`.

use super::SourceError;
use super::options::Entry;

pub(super) fn entries(text: &str, name: &str) -> Vec<Result<Entry, SourceError>> {
    let lines = text.lines().enumerate();
    lines
        .filter_map(|(index, line)| {
            let line = line.split('#').next().unwrap_or_default().trim();
            (!line.is_empty()).then(|| entry(line, format!("{name}, line {}", index + 1)))
        })
        .collect()
}

fn entry(line: &str, at: String) -> Result<Entry, SourceError> {
    let wrong = |what: &str| SourceError {
        at: at.clone(),
        what: what.to_owned(),
    };
    let (kind, rest) = line
        .split_once(char::is_whitespace)
        .ok_or_else(|| wrong("expected `deb uri suite component`"))?;
    let rest = rest.trim_start();
    let mut entry = Entry::new(at.clone());
    entry.set("types", kind)?;
    let rest = match rest.strip_prefix('[') {
        None => rest,
        Some(inside) => {
            let (options, rest) = inside
                .split_once(']')
                .ok_or_else(|| wrong("the options have no `]`"))?;
            for option in options.split_whitespace() {
                let (key, value) = option
                    .split_once('=')
                    .ok_or_else(|| wrong(&format!("`{option}` is no `option=value`")))?;
                // `arch+=` and `arch-=` change a default that a generator does not have.
                if key.ends_with(['+', '-']) {
                    return Err(wrong(&format!(
                        "`{key}=` is not supported: say all with `=`"
                    )));
                }
                let key = match key {
                    "arch" => "architectures",
                    "lang" => "languages",
                    "target" => "targets",
                    other => other,
                };
                entry.set(key, &value.replace(',', " "))?;
            }
            rest
        }
    };
    let mut words = rest.split_whitespace();
    let (Some(uri), Some(suite)) = (words.next(), words.next()) else {
        return Err(wrong("expected `deb uri suite component`"));
    };
    entry.set("uris", uri)?;
    entry.set("suites", suite)?;
    let components: Vec<&str> = words.collect();
    entry.set("components", &components.join(" "))?;
    Ok(entry)
}
