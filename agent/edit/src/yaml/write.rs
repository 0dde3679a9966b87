//! Values as YAML text that readers of YAML 1.1 and 1.2 understand alike.

use serde_json::Value;

/// Whether a value is written over several lines in block style.
pub(crate) fn is_block(value: &Value) -> bool {
    match value {
        Value::Array(items) => !items.is_empty(),
        Value::Object(map) => !map.is_empty(),
        _ => false,
    }
}

/// Lines of a collection in block style, each with `lead` before it and a line feed behind; a scalar on a line of its own.
pub(crate) fn block(value: &Value, lead: &str, step: &str, lines: &mut String) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            for (key, value) in map {
                *lines += &format!("{lead}{}:", key_text(key));
                if is_block(value) {
                    lines.push('\n');
                    block(value, &format!("{lead}{step}"), step, lines);
                } else {
                    *lines += &format!(" {}\n", flow(value));
                }
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for item in items {
                let mut inner = String::new();
                let inner_lead = format!("{lead}  ");
                block(item, &inner_lead, step, &mut inner);
                *lines += &format!("{lead}- {}", &inner[inner_lead.len()..]);
            }
        }
        scalar => *lines += &format!("{lead}{}\n", flow(scalar)),
    }
}

/// A value on one line.
pub(crate) fn flow(value: &Value) -> String {
    match value {
        Value::Array(items) => format!(
            "[{}]",
            items.iter().map(flow).collect::<Vec<_>>().join(", ")
        ),
        Value::Object(map) => {
            let pairs = map
                .iter()
                .map(|(key, value)| format!("{}: {}", key_text(key), flow(value)));
            format!("{{{}}}", pairs.collect::<Vec<_>>().join(", "))
        }
        scalar => scalar_text(scalar, None),
    }
}

pub(crate) fn key_text(key: &str) -> String {
    if is_plain(key) {
        key.to_owned()
    } else {
        quoted(key)
    }
}

/// A scalar, in the quotes given if they can carry it, else plain if it can be, else in quotes.
pub(crate) fn scalar_text(value: &Value, quote: Option<char>) -> String {
    match value {
        Value::String(text) => match quote {
            Some('\'') if text.chars().all(is_printable) => {
                format!("'{}'", text.replace('\'', "''"))
            }
            None if is_plain(text) => text.clone(),
            Some(_) => double_quoted(text),
            None => quoted(text),
        },
        Value::Number(number) => {
            let text = number.to_string();
            // YAML 1.1 takes 1e5 for text.
            match text.split_once('e') {
                Some((mantissa, exponent)) => {
                    let point = if mantissa.contains('.') { "" } else { ".0" };
                    let sign = if exponent.starts_with('-') { "" } else { "+" };
                    format!(
                        "{mantissa}{point}e{sign}{}",
                        exponent.trim_start_matches('+')
                    )
                }
                None => text,
            }
        }
        other => other.to_string(),
    }
}

fn quoted(text: &str) -> String {
    if text.contains(['"', '\\']) && text.chars().all(is_printable) {
        format!("'{}'", text.replace('\'', "''"))
    } else {
        double_quoted(text)
    }
}

fn double_quoted(text: &str) -> String {
    let mut word = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => word.extend(['\\', c]),
            '\n' => word.push_str("\\n"),
            '\r' => word.push_str("\\r"),
            '\t' => word.push_str("\\t"),
            c if is_printable(c) => word.push(c),
            c if (c as u32) <= 0xFFFF => word.push_str(&format!("\\u{:04X}", c as u32)),
            c => word.push_str(&format!("\\U{:08X}", c as u32)),
        }
    }
    word + "\""
}

/// Characters that stand for themselves inside quotes, on one line.
fn is_printable(c: char) -> bool {
    !c.is_control() && !matches!(c as u32, 0x2028 | 0x2029 | 0xFEFF | 0xFFFE | 0xFFFF)
}

/// Whether every reader takes this text, unquoted, for itself: a string, in block and flow collections.
fn is_plain(text: &str) -> bool {
    const WORDS: [&str; 9] = ["y", "n", "yes", "no", "on", "off", "true", "false", "null"];
    let Some(first) = text.chars().next() else {
        return false;
    };
    let fits = |c: char| {
        c.is_ascii_alphanumeric()
            || "_-./+=@%$~()*:; ".contains(c)
            || (c.is_alphabetic() && !c.is_ascii())
    };
    let lead = first.is_ascii_alphanumeric()
        || matches!(first, '_' | '/' | '.' | '$')
        || first.is_alphabetic();
    let numeric_lead = first.is_ascii_digit() || first == '.';
    let clearly_text = text.contains('/') || text.chars().any(|c| {
        c.is_alphabetic()
            && !matches!(c, 'a'..='f' | 'A'..='F' | 'x' | 'X' | 'o' | 'O' | 't' | 'T' | 'z' | 'Z')
    });
    let is_date = text.len() > 5
        && text.as_bytes()[4] == b'-'
        && text.as_bytes()[..4].iter().all(u8::is_ascii_digit);
    lead && text.chars().all(fits)
        && !text.ends_with([' ', ':'])
        && !text.contains(": ")
        && !WORDS.contains(&text.to_ascii_lowercase().as_str())
        && !(numeric_lead && (!clearly_text || is_date))
        && !matches!(text.to_ascii_lowercase().as_str(), ".inf" | ".nan")
}
