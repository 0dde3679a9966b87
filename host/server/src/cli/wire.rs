//! Small things that commands share: encoded paths, pages, dates.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use url::form_urlencoded::byte_serialize;

/// One segment of a path. What a server would read as structure is encoded.
pub fn segment(text: &str) -> String {
    let encoded: String = byte_serialize(text.as_bytes()).collect();
    // Form encoding writes a space as `+`, which means itself in a path.
    encoded.replace('+', "%20").replace("%40", "@")
}

/// The path of the page that follows.
pub fn after(base: &str, next: Option<&str>) -> String {
    match next {
        None => base.to_owned(),
        Some(next) => format!(
            "{base}?after={}",
            byte_serialize(next.as_bytes()).collect::<String>()
        ),
    }
}

/// RFC 3339, to the second.
pub fn date(at: OffsetDateTime) -> String {
    let whole = at.replace_nanosecond(0).unwrap_or(at);
    whole.format(&Rfc3339).unwrap_or_default()
}
