//! Links between the pages of this repository: each leads to a file that is there, and to a heading or anchor in it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// Where pages lie.
const PLACES: &[&str] = &["docs", "sdk", "examples", "plugins", "wit"];

/// Fails on the links that lead nowhere, all at once.
pub fn check(root: &Path) -> Result<()> {
    let mut pages = Vec::new();
    for entry in fs::read_dir(root)? {
        let path = entry?.path();
        if is_page(&path) {
            pages.push(path);
        }
    }
    for place in PLACES {
        collect(&root.join(place), &mut pages)?;
    }
    pages.sort();
    let mut faults = Vec::new();
    for page in &pages {
        let text = fs::read_to_string(page).with_context(|| page.display().to_string())?;
        for (line, target) in links(&text) {
            if let Some(fault) = fault(page, target)? {
                let page = page.strip_prefix(root).unwrap_or(page).display();
                faults.push(format!("{page}:{line}: {fault}"));
            }
        }
    }
    if !faults.is_empty() {
        bail!("links that lead nowhere:\n  {}", faults.join("\n  "));
    }
    Ok(())
}

fn collect(place: &Path, pages: &mut Vec<PathBuf>) -> Result<()> {
    let entries = fs::read_dir(place).with_context(|| place.display().to_string())?;
    for entry in entries {
        let entry = entry?;
        let path = entry.path();
        if is_page(&path) {
            pages.push(path);
        } else if entry.file_type()?.is_dir() && entry.file_name() != "node_modules" {
            collect(&path, pages)?;
        }
    }
    Ok(())
}

fn is_page(path: &Path) -> bool {
    path.extension().is_some_and(|kind| kind == "md")
}

/// What is wrong with a link of a page, if something is. Addresses of the web are not looked at.
fn fault(page: &Path, target: &str) -> Result<Option<String>> {
    if target.contains("://") || target.starts_with("mailto:") {
        return Ok(None);
    }
    let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
    let file = match path {
        "" => page.to_owned(),
        _ => page.with_file_name("").join(path),
    };
    if !file.exists() {
        return Ok(Some(format!("no file `{path}`")));
    }
    if anchor.is_empty() || !is_page(&file) {
        return Ok(None);
    }
    let text = fs::read_to_string(&file).with_context(|| file.display().to_string())?;
    Ok((!anchors(&text).contains(anchor)).then(|| format!("no `#{anchor}` in {}", file.display())))
}

/// The lines that are no code, numbered from 1.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut is_code = false;
    text.lines().enumerate().filter_map(move |(index, line)| {
        if line.trim_start().starts_with("```") {
            is_code = !is_code;
            return None;
        }
        (!is_code).then_some((index + 1, line))
    })
}

/// The targets of `[text](target)`, outside code, each with its line.
fn links(text: &str) -> impl Iterator<Item = (usize, &str)> {
    prose(text).flat_map(|(number, line)| {
        let rests = line.split("](").skip(1);
        rests.filter_map(move |rest| Some((number, rest.split_once(')')?.0)))
    })
}

/// What a link into a page may name: its headings in the form that forges give them, and its own anchors.
fn anchors(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (_, line) in prose(text) {
        if let Some(heading) = line.strip_prefix('#') {
            found.insert(slug(heading.trim_start_matches('#').trim()));
        }
        for rest in line.split("<a id=\"").skip(1) {
            found.extend(rest.split('"').next().map(str::to_owned));
        }
    }
    found
}

fn slug(heading: &str) -> String {
    heading
        .to_lowercase()
        .chars()
        .filter_map(|letter| match letter {
            ' ' => Some('-'),
            '-' | '_' => Some(letter),
            _ => letter.is_alphanumeric().then_some(letter),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use bootsplice_tests::places;

    use super::*;

    #[test]
    fn every_link_between_pages_leads_somewhere() {
        check(&places::root()).unwrap();
    }

    #[test]
    fn a_link_to_a_missing_file_or_heading_is_told_with_its_line() {
        let place = tempfile::tempdir().unwrap();
        for folder in PLACES {
            fs::create_dir(place.path().join(folder)).unwrap();
        }
        let page = place.path().join("docs/a.md");
        let good = "# What is it?\n[a](#what-is-it) [b](../b.md#x.y) [c](https://example.org/)\n```\n[code](no.md)\n```\n";
        fs::write(&page, good).unwrap();
        fs::write(place.path().join("b.md"), "<a id=\"x.y\"></a>\n").unwrap();
        check(place.path()).unwrap();
        fs::write(&page, format!("{good}[d](c.md) [e](../b.md#z)\n")).unwrap();
        let said = check(place.path()).unwrap_err().to_string();
        assert!(said.contains("docs/a.md:6: no file `c.md`"), "{said}");
        assert!(said.contains("docs/a.md:6: no `#z`"), "{said}");
    }
}
