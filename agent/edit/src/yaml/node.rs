//! The nodes of a YAML document with their spans in bytes, and what they mean as JSON.

use std::collections::HashSet;
use std::ops::Range;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Span, Tag};
use serde_json::{Map, Number, Value};

use crate::engine::Fault;
use crate::text::line_start;

/// Deepest nesting that is read.
const MAX_DEPTH: usize = 100;

/// One node.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) kind: Kind,
    /// From the first to behind the last byte of content; for block scalars without the indicator, for block collections without what follows
    /// the last leaf.
    pub(crate) span: Range<usize>,
    /// A collection in brackets or braces.
    pub(crate) flow: bool,
    anchored: bool,
    tag: Option<String>,
}

#[derive(Debug)]
pub(crate) enum Kind {
    Scalar {
        text: String,
        quote: Option<char>,
        /// `|` or `>`.
        block: bool,
    },
    List(Vec<Node>),
    Map(Vec<(Node, Node)>),
    Alias(usize),
}

/// The root of the only document; `None` when there is none.
pub(crate) fn document(text: &str) -> Result<Option<Node>, Fault> {
    if let Some(at) = lone_return(text) {
        return Err(Fault {
            at,
            problem: "a carriage return without line feed; convert the line endings first".into(),
        });
    }
    let mut builder = Builder {
        text,
        bytes: Offsets::of(text),
        parser: Parser::new_from_str(text),
    };
    let mut root = None;
    loop {
        let (event, span) = builder.next()?;
        match event {
            Event::StreamEnd => return Ok(root),
            Event::DocumentStart(_) if root.is_some() => {
                return Err(Fault {
                    at: builder.bytes.at(span.start),
                    problem: "a second document begins here, and an edit does not know which one is meant; use a script".into(),
                });
            }
            Event::DocumentStart(_) => {
                let (event, span) = builder.next()?;
                root = Some(builder.node(event, span, 0)?);
            }
            _ => {}
        }
    }
}

fn lone_return(text: &str) -> Option<usize> {
    text.match_indices('\r')
        .map(|(at, _)| at)
        .find(|at| !text[at + 1..].starts_with('\n'))
}

/// Byte offsets of characters.
enum Offsets {
    Ascii,
    Table(Vec<usize>, usize),
}

// === impl Offsets ===

impl Offsets {
    fn of(text: &str) -> Self {
        if text.is_ascii() {
            Self::Ascii
        } else {
            Self::Table(text.char_indices().map(|(at, _)| at).collect(), text.len())
        }
    }

    fn at(&self, marker: Marker) -> usize {
        match self {
            Self::Ascii => marker.index(),
            Self::Table(table, end) => table.get(marker.index()).copied().unwrap_or(*end),
        }
    }
}

struct Builder<'a> {
    text: &'a str,
    bytes: Offsets,
    parser: Parser<'a, saphyr_parser::StrInput<'a>>,
}

// === impl Builder ===

impl<'a> Builder<'a> {
    fn next(&mut self) -> Result<(Event<'a>, Span), Fault> {
        match self.parser.next_event() {
            Some(Ok(event)) => Ok(event),
            Some(Err(error)) => Err(Fault {
                at: self.bytes.at(*error.marker()).min(self.text.len()),
                problem: error.info().to_owned(),
            }),
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    fn node(&mut self, event: Event<'a>, span: Span, depth: usize) -> Result<Node, Fault> {
        let start = self.bytes.at(span.start).min(self.text.len());
        let end = self.bytes.at(span.end).min(self.text.len());
        if depth > MAX_DEPTH {
            return Err(Fault {
                at: start,
                problem: format!("nested more than {MAX_DEPTH} deep"),
            });
        }
        let tag_name = |tag: Option<std::borrow::Cow<'_, Tag>>| {
            tag.map(|tag| format!("{}{}", tag.handle, tag.suffix))
        };
        let flow = self.text[start..].starts_with(['[', '{']);
        match event {
            Event::Scalar(value, style, anchor, tag) => {
                let block = matches!(style, ScalarStyle::Literal | ScalarStyle::Folded);
                let end = if block {
                    start + self.text[start..end].trim_end().len()
                } else {
                    end
                };
                Ok(Node {
                    kind: Kind::Scalar {
                        text: value.into_owned(),
                        quote: match style {
                            ScalarStyle::SingleQuoted => Some('\''),
                            ScalarStyle::DoubleQuoted => Some('"'),
                            _ => None,
                        },
                        block,
                    },
                    span: start..end,
                    flow: false,
                    anchored: anchor != 0,
                    tag: tag_name(tag),
                })
            }
            Event::Alias(id) => Ok(Node {
                kind: Kind::Alias(id),
                span: start..end,
                flow: false,
                anchored: false,
                tag: None,
            }),
            Event::SequenceStart(anchor, tag) => {
                let mut items = Vec::new();
                let mut close = start;
                loop {
                    let (event, span) = self.next()?;
                    if matches!(event, Event::SequenceEnd | Event::StreamEnd) {
                        close = close.max(if flow { self.bytes.at(span.end) } else { close });
                        break;
                    }
                    let item = self.node(event, span, depth + 1)?;
                    close = close.max(item.span.end);
                    items.push(item);
                }
                Ok(Node {
                    kind: Kind::List(items),
                    span: start..close,
                    flow,
                    anchored: anchor != 0,
                    tag: tag_name(tag),
                })
            }
            Event::MappingStart(anchor, tag) => {
                let mut pairs: Vec<(Node, Node)> = Vec::new();
                let mut names = HashSet::new();
                let mut close = start;
                loop {
                    let (event, span) = self.next()?;
                    if matches!(event, Event::MappingEnd | Event::StreamEnd) {
                        close = close.max(if flow { self.bytes.at(span.end) } else { close });
                        break;
                    }
                    let key = self.node(event, span, depth + 1)?;
                    let (event, span) = self.next()?;
                    let mut value = self.node(event, span, depth + 1)?;
                    if value.is_empty() {
                        // The parser puts an absent value anywhere up to the next token; here it stands behind its colon.
                        let rest = &self.text[key.span.end..];
                        let blank = rest.len() - rest.trim_start_matches([' ', '\t']).len();
                        let colon = usize::from(rest[blank..].starts_with(':'));
                        let at = key.span.end + colon * (blank + 1);
                        value.span = at..at;
                    }
                    if !names.insert(key.name()) {
                        return Err(Fault {
                            at: key.span.start,
                            problem: format!(
                                "the key `{}` stands in this mapping a second time",
                                key.name()
                            ),
                        });
                    }
                    close = close.max(key.span.end).max(value.span.end);
                    pairs.push((key, value));
                }
                Ok(Node {
                    kind: Kind::Map(pairs),
                    span: start..close,
                    flow,
                    anchored: anchor != 0,
                    tag: tag_name(tag),
                })
            }
            _ => Err(Fault {
                at: start,
                problem: "a value was expected here".into(),
            }),
        }
    }
}

// === impl Node ===

impl Node {
    /// A scalar of which nothing is written.
    pub(crate) fn is_empty(&self) -> bool {
        matches!(
            self.kind,
            Kind::Scalar {
                quote: None,
                block: false,
                ..
            }
        ) && self.span.is_empty()
    }

    pub(crate) fn quote(&self) -> Option<char> {
        match self.kind {
            Kind::Scalar { quote, .. } => quote,
            _ => None,
        }
    }

    /// The node as a key of a mapping.
    pub(crate) fn name(&self) -> String {
        match &self.kind {
            Kind::Scalar { text, .. } if self.tag.is_none() => text.clone(),
            _ => format!("\0{}", self.meaning()),
        }
    }

    pub(crate) fn is_merge(&self) -> bool {
        matches!(&self.kind, Kind::Scalar { text, quote: None, .. } if text == "<<")
    }

    /// Why nothing at or below this node is edited.
    pub(crate) fn entangled(&self) -> Option<&'static str> {
        if self.anchored {
            Some(
                "an anchor (`&`) stands here, so a change would reach every place that refers to it; write it plainly, or use a script",
            )
        } else if self.tag.is_some() {
            Some(
                "a tag (`!`) stands here and says how the value is read; write it plainly, or use a script",
            )
        } else if matches!(self.kind, Kind::Alias(_)) {
            Some(
                "this is an alias (`*`) of a value that stands elsewhere; write it out, or use a script",
            )
        } else {
            None
        }
    }

    pub(crate) fn holds_entangled(&self) -> bool {
        self.any(&|node| node.entangled().is_some())
    }

    pub(crate) fn holds_anchor(&self) -> bool {
        self.any(&|node| node.anchored)
    }

    fn any(&self, test: &impl Fn(&Self) -> bool) -> bool {
        test(self)
            || match &self.kind {
                Kind::List(items) => items.iter().any(|item| item.any(test)),
                Kind::Map(pairs) => pairs
                    .iter()
                    .any(|(key, value)| key.any(test) || value.any(test)),
                _ => false,
            }
    }

    /// Spaces of one step of indentation, from the first block mapping that stands in a block mapping.
    pub(crate) fn step(&self, text: &str) -> Option<usize> {
        let Kind::Map(pairs) = &self.kind else {
            return None;
        };
        let column = |at: usize| at - line_start(text, at);
        pairs.iter().find_map(|(key, value)| match &value.kind {
            Kind::Map(inner) if !value.flow && !inner.is_empty() => column(inner[0].0.span.start)
                .checked_sub(column(key.span.start))
                .filter(|step| *step > 0),
            _ => None,
        })
    }

    /// What the node means. What JSON cannot say becomes an object with a key no document can have.
    pub(crate) fn meaning(&self) -> Value {
        let plain = match &self.kind {
            Kind::Scalar {
                text,
                quote: None,
                block: false,
            } if self.tag.is_none() => resolved(text),
            Kind::Scalar { text, .. } => Value::String(text.clone()),
            Kind::List(items) => items.iter().map(Self::meaning).collect(),
            Kind::Map(pairs) => pairs
                .iter()
                .map(|(key, value)| (key.name(), value.meaning()))
                .collect(),
            Kind::Alias(id) => special("alias", (*id).into()),
        };
        match &self.tag {
            Some(tag) => special(tag, plain),
            None => plain,
        }
    }
}

fn special(kind: &str, value: Value) -> Value {
    Value::Object(Map::from_iter([(format!("\0{kind}"), value)]))
}

/// The core schema (YAML 1.2.2, section 10.3.2). Numbers with leading zeros stay text, since readers of YAML 1.1 take them for octal.
fn resolved(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        _ => {}
    }
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN") {
        return special("float", text.to_lowercase().into());
    }
    for (prefix, radix) in [("0x", 16), ("0o", 8)] {
        if let Some(Ok(number)) = text
            .strip_prefix(prefix)
            .filter(|digits| !digits.starts_with(['+', '-']))
            .map(|digits| u64::from_str_radix(digits, radix))
        {
            return Value::from(number);
        }
    }
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let leading_zero = unsigned.len() > 1 && unsigned.starts_with('0') && digits(unsigned);
    if digits(unsigned) && !leading_zero {
        let canonical = text.strip_prefix('+').unwrap_or(text);
        if let Ok(number) = canonical.parse::<i64>() {
            return Value::from(number);
        }
        return match canonical.parse::<u64>() {
            Ok(number) => Value::from(number),
            Err(_) => special("integer", canonical.into()),
        };
    }
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (
            mantissa,
            Some(exponent.strip_prefix(['+', '-']).unwrap_or(exponent)),
        ),
        None => (unsigned, None),
    };
    let (whole, fraction) = mantissa
        .split_once('.')
        .map_or((mantissa, None), |(whole, fraction)| {
            (whole, Some(fraction))
        });
    let is_float = exponent.is_none_or(digits)
        && match fraction {
            Some(fraction) => {
                (digits(whole) || whole.is_empty() && !fraction.is_empty())
                    && (fraction.is_empty() || digits(fraction))
            }
            None => exponent.is_some() && digits(whole),
        };
    if is_float {
        return match text.parse::<f64>().ok().and_then(Number::from_f64) {
            Some(number) => Value::Number(number),
            None => special("float", text.into()),
        };
    }
    Value::String(text.to_owned())
}
