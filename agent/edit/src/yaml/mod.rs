//! YAML 1.2, one document, edited by spans.
//!
//! `saphyr-parser` says where nodes stand; only the spans of what changes are written anew. Block and flow collections, plain, quoted and block
//! scalars are edited. A path through an anchor, an alias, a tag, a merge key or a complex key is refused, because a change there would
//! reach other places or mean another type; elsewhere in the file they stay as they are.

mod node;
mod write;

use std::ops::Range;

use serde_json::Value;

use self::node::{Kind, Node, document};
use self::write::{block, flow, is_block, key_text, scalar_text};
use crate::Verb;
use crate::bracket::{Bracket, Comments};
use crate::engine::{Fault, Language, Wish};
use crate::json::nested;
use crate::text::{Splice, add_lines, line_end, line_start, next_line};
use crate::tree;

pub(crate) struct Yaml;

// === impl Yaml ===

impl Language for Yaml {
    const LENIENT: bool = false;

    fn read(text: &str) -> Result<Value, Fault> {
        Ok(document(text)?.map_or(Value::Null, |root| root.meaning()))
    }

    fn rewrite(text: &str, wish: &Wish<'_>) -> Result<Vec<Splice>, Fault> {
        let root = document(text)?;
        let Some(root) = root.filter(|root| !root.is_empty()) else {
            let mut lines = String::new();
            block(
                &nested(wish.pointer.tokens(), fresh(wish)),
                "",
                "  ",
                &mut lines,
            );
            return Ok(vec![add_lines(text, text.len(), &lines)]);
        };
        let editor = Editor {
            text,
            step: " ".repeat(root.step(text).unwrap_or(2)),
            wish,
        };
        editor.descend(
            Slot {
                node: &root,
                key: None,
                in_flow: false,
            },
            wish.pointer.tokens(),
        )
    }
}

/// What the wish puts at its path when nothing is there yet.
fn fresh(wish: &Wish<'_>) -> Value {
    let value = wish.value.cloned().unwrap_or(Value::Null);
    match wish.verb {
        Verb::Append => Value::Array(vec![value]),
        _ => value,
    }
}

/// A node and the key it is the value of, if it is.
#[derive(Clone, Copy)]
struct Slot<'n> {
    node: &'n Node,
    key: Option<&'n Node>,
    in_flow: bool,
}

struct Editor<'a> {
    text: &'a str,
    step: String,
    wish: &'a Wish<'a>,
}

// === impl Editor ===

impl Editor<'_> {
    fn descend(&self, slot: Slot<'_>, tokens: &[String]) -> Result<Vec<Splice>, Fault> {
        let node = slot.node;
        if let Some(problem) = node.entangled() {
            return Err(fault(node.span.start, problem));
        }
        let Some((token, rest)) = tokens.split_first() else {
            return self.at(slot);
        };
        let removes =
            rest.is_empty() && self.wish.verb == Verb::Remove && self.wish.value.is_none();
        match &node.kind {
            Kind::Map(pairs) => {
                if let Some((key, _)) = pairs.iter().find(|(key, _)| key.is_merge()) {
                    return Err(fault(
                        key.span.start,
                        "the merge key `<<` brings keys in from elsewhere here; write them out, or use a script",
                    ));
                }
                if slot.in_flow && !node.flow {
                    return Err(fault(
                        node.span.start,
                        "this pair stands in a list without braces; write it in braces",
                    ));
                }
                match pairs.iter().position(|(key, _)| key.name() == *token) {
                    Some(position) if removes => self.remove_pair(slot, pairs, position),
                    Some(position) => {
                        let (key, value) = &pairs[position];
                        self.descend(
                            Slot {
                                node: value,
                                key: Some(key),
                                in_flow: node.flow,
                            },
                            rest,
                        )
                    }
                    None => self.add_pair(slot, pairs, token, &nested(rest, fresh(self.wish))),
                }
            }
            Kind::List(items) => {
                let item = tree::index(token).and_then(|index| items.get(index));
                let item =
                    item.ok_or_else(|| fault(node.span.start, "the list has no such item"))?;
                self.descend(
                    Slot {
                        node: item,
                        key: None,
                        in_flow: node.flow,
                    },
                    rest,
                )
            }
            Kind::Scalar { .. } if node.meaning().is_null() => {
                self.replace(slot, &nested(tokens, fresh(self.wish)))
            }
            _ => Err(fault(
                node.span.start,
                "the path leads into this value, which has nothing inside",
            )),
        }
    }

    /// The path ends at this node.
    fn at(&self, slot: Slot<'_>) -> Result<Vec<Splice>, Fault> {
        match (&slot.node.kind, self.wish.verb, self.wish.value) {
            (Kind::List(items), Verb::Append, Some(value)) => {
                self.add_item(slot.node, items, value)
            }
            (Kind::List(items), Verb::Remove, Some(value)) => {
                let mut matching = (0..items.len()).filter(|&i| items[i].meaning() == *value);
                match (matching.next(), matching.next()) {
                    (Some(position), None) => self.remove_item(slot, items, position),
                    _ => Err(fault(
                        slot.node.span.start,
                        "the list holds the value more than once; `set` the whole list",
                    )),
                }
            }
            _ => self.replace(slot, &fresh(self.wish)),
        }
    }

    /// Another value in a place that has one, maybe an empty one.
    fn replace(&self, slot: Slot<'_>, value: &Value) -> Result<Vec<Splice>, Fault> {
        let node = slot.node;
        if node.holds_entangled() {
            return Err(fault(
                node.span.start,
                "an anchor, alias or tag stands inside this value, and other places may depend on it; write it plainly, or use a script",
            ));
        }
        let inline = slot.in_flow || node.flow || !is_block(value);
        let plain_span =
            node.flow || matches!(node.kind, Kind::Scalar { block: false, .. }) && !node.is_empty();
        if plain_span && inline {
            let text = match node.quote() {
                Some(quote) if value.is_string() => scalar_text(value, Some(quote)),
                _ => flow(value),
            };
            return Ok(vec![Splice::new(node.span.clone(), text)]);
        }
        let Some(key) = slot.key else {
            return Err(fault(
                node.span.start,
                "this item has no plain value on its line; set what is inside, or `set` the whole list",
            ));
        };
        let colon = self.after_colon(key)?;
        let end = if node.is_empty() {
            colon
        } else {
            node.span.end
        };
        if self.text[colon..node.span.start.max(colon)].contains('#') {
            return Err(fault(
                colon,
                "a comment stands between the key and its value and would be lost; move it to a line above the key",
            ));
        }
        if inline {
            return Ok(vec![Splice::new(colon..end, format!(" {}", flow(value)))]);
        }
        let mut lines = String::new();
        block(
            value,
            &(" ".repeat(self.column(key.span.start)) + &self.step),
            &self.step,
            &mut lines,
        );
        let lines = format!("\n{}", lines.trim_end_matches('\n'));
        if node.is_empty() {
            // A comment behind the colon stays on its line.
            return Ok(vec![Splice::insert(line_end(self.text, colon), lines)]);
        }
        Ok(vec![Splice::new(colon..end, lines)])
    }

    fn add_pair(
        &self,
        slot: Slot<'_>,
        pairs: &[(Node, Node)],
        key: &str,
        value: &Value,
    ) -> Result<Vec<Splice>, Fault> {
        let node = slot.node;
        if node.flow {
            return Ok(self
                .pair_bracket(node, pairs)?
                .insert(&format!("{}: {}", key_text(key), flow(value)), None));
        }
        let (first, _) = pairs
            .first()
            .ok_or_else(|| fault(node.span.start, "an empty mapping that is not written `{}`"))?;
        let lead = " ".repeat(self.column(first.span.start));
        let mut lines = String::new();
        block(
            &nested(&[key.to_owned()], value.clone()),
            &lead,
            &self.step,
            &mut lines,
        );
        Ok(vec![self.after_content(node, &lines)])
    }

    fn add_item(&self, node: &Node, items: &[Node], value: &Value) -> Result<Vec<Splice>, Fault> {
        if node.flow {
            return Ok(self.item_bracket(node, items)?.insert(&flow(value), None));
        }
        let dash = items.iter().find_map(|item| self.dash(item));
        let dash = dash.ok_or_else(|| {
            fault(
                node.span.start,
                "no item of this list begins on the line of its dash; write one so",
            )
        })?;
        let mut lines = String::new();
        block(
            &Value::Array(vec![value.clone()]),
            &" ".repeat(self.column(dash)),
            &self.step,
            &mut lines,
        );
        Ok(vec![self.after_content(node, &lines)])
    }

    fn after_content(&self, node: &Node, lines: &str) -> Splice {
        add_lines(self.text, next_line(self.text, node.span.end), lines)
    }

    fn remove_pair(
        &self,
        slot: Slot<'_>,
        pairs: &[(Node, Node)],
        position: usize,
    ) -> Result<Vec<Splice>, Fault> {
        let (key, value) = &pairs[position];
        self.refuse_shared(key, value)?;
        if slot.node.flow {
            return Ok(self.pair_bracket(slot.node, pairs)?.remove(position));
        }
        let colon = self.after_colon(key)?;
        let end = if value.is_empty() {
            colon
        } else {
            value.span.end
        };
        let whole = key.span.start..end;
        if pairs.len() == 1 {
            return self.empty(slot, whole, "{}");
        }
        let start = line_start(self.text, key.span.start);
        if !self.text[start..key.span.start].trim().is_empty() {
            // The first key of an item, on the line of its dash: the next key takes its place.
            let (next, _) = pairs
                .get(position + 1)
                .ok_or_else(|| fault(start, "something stands before this key on its line"))?;
            if self.text[end..next.span.start].contains('#') {
                return Err(fault(
                    end,
                    "a comment between this key and the next would be lost; move it above the item",
                ));
            }
            return Ok(vec![Splice::delete(key.span.start..next.span.start)]);
        }
        Ok(vec![self.delete_lines(start, end)])
    }

    fn remove_item(
        &self,
        slot: Slot<'_>,
        items: &[Node],
        position: usize,
    ) -> Result<Vec<Splice>, Fault> {
        let item = &items[position];
        self.refuse_shared(item, item)?;
        if slot.node.flow {
            return Ok(self.item_bracket(slot.node, items)?.remove(position));
        }
        let dash = self.dash(item).ok_or_else(|| {
            fault(
                item.span.start,
                "this item does not begin on the line of its dash; write it so",
            )
        })?;
        if items.len() == 1 {
            return self.empty(slot, dash..item.span.end, "[]");
        }
        let start = line_start(self.text, dash);
        if !self.text[start..dash].trim().is_empty() {
            return Err(fault(
                dash,
                "this list begins on the line of another dash; write it on lines of its own",
            ));
        }
        Ok(vec![self.delete_lines(start, item.span.end)])
    }

    /// Takes away the last thing a block collection holds; `nothing` stands there instead.
    fn empty(
        &self,
        slot: Slot<'_>,
        whole: Range<usize>,
        nothing: &str,
    ) -> Result<Vec<Splice>, Fault> {
        let start = line_start(self.text, whole.start);
        let alone = self.text[start..whole.start].trim().is_empty();
        match slot.key {
            Some(key) if alone && start > key.span.end => Ok(vec![
                Splice::insert(self.after_colon(key)?, format!(" {nothing}")),
                self.delete_lines(start, whole.end),
            ]),
            _ => Ok(vec![Splice::new(whole, nothing)]),
        }
    }

    fn delete_lines(&self, start: usize, end: usize) -> Splice {
        let mut range = start..next_line(self.text, end);
        if range.end == self.text.len() && !self.text.ends_with('\n') && start > 0 {
            range.start = line_end(self.text, line_start(self.text, start - 1));
        }
        Splice::delete(range)
    }

    fn refuse_shared(&self, key: &Node, value: &Node) -> Result<(), Fault> {
        if key.holds_anchor() || value.holds_anchor() {
            return Err(fault(
                key.span.start,
                "an anchor stands in what would be removed, and other places may refer to it; move the anchor, or use a script",
            ));
        }
        Ok(())
    }

    fn pair_bracket(&self, node: &Node, pairs: &[(Node, Node)]) -> Result<Bracket<'_>, Fault> {
        let items = pairs.iter().map(|(key, value)| {
            // An empty value ends with its colon.
            let end = match self.after_colon(key) {
                Ok(colon) if value.is_empty() => colon,
                _ if value.is_empty() => key.span.end,
                _ => value.span.end,
            };
            key.span.start..end
        });
        self.bracket(node, items.collect())
    }

    fn item_bracket(&self, node: &Node, items: &[Node]) -> Result<Bracket<'_>, Fault> {
        self.bracket(node, items.iter().map(|item| item.span.clone()).collect())
    }

    fn bracket(&self, node: &Node, items: Vec<Range<usize>>) -> Result<Bracket<'_>, Fault> {
        Bracket::new(self.text, node.span.clone(), items, Comments::Hash).ok_or_else(|| {
            fault(
                node.span.start,
                "this list is written in a rare way; write it plainly, or use a script",
            )
        })
    }

    /// Behind the colon that follows a key.
    fn after_colon(&self, key: &Node) -> Result<usize, Fault> {
        let rest = &self.text[key.span.end..];
        let gap = rest.len() - rest.trim_start_matches([' ', '\t']).len();
        if rest[gap..].starts_with(':') {
            Ok(key.span.end + gap + 1)
        } else {
            Err(fault(
                key.span.start,
                "this key is not written `key: value`; write it so",
            ))
        }
    }

    /// The dash of an item that begins on the line of its dash.
    fn dash(&self, item: &Node) -> Option<usize> {
        let start = line_start(self.text, item.span.start);
        let before = self.text[start..item.span.start].trim_end_matches([' ', '\t']);
        (before.ends_with('-') && before.len() < item.span.start - start)
            .then(|| start + before.len() - 1)
    }

    fn column(&self, at: usize) -> usize {
        self.text[line_start(self.text, at)..at].chars().count()
    }
}

fn fault(at: usize, problem: &str) -> Fault {
    Fault {
        at,
        problem: problem.to_owned(),
    }
}
