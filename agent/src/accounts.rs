//! Users and groups of the guest, from its own `/etc/passwd` and `/etc/group` (passwd(5), group(5)): a static program has no name service, and `--root` has its own users.

use std::io;

use crate::root::Root;

/// Larger files are not read.
const LIMIT: u64 = 16 << 20;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    pub name: String,
    pub uid: u32,
    pub gid: u32,
    pub home: String,
}

pub fn user(root: &Root, name: &str) -> io::Result<User> {
    let found = lines(root, "/etc/passwd")?.into_iter().find_map(|fields| {
        (fields.len() >= 6 && fields[0] == name).then(|| {
            Some(User {
                name: name.to_owned(),
                uid: fields[2].parse().ok()?,
                gid: fields[3].parse().ok()?,
                home: fields[5].trim_end_matches('/').to_owned(),
            })
        })?
    });
    found.ok_or_else(|| missing("user", name))
}

pub fn group(root: &Root, name: &str) -> io::Result<u32> {
    let found = lines(root, "/etc/group")?.into_iter().find_map(|fields| {
        let here = fields.len() >= 3 && fields[0] == name;
        here.then(|| fields[2].parse().ok())?
    });
    found.ok_or_else(|| missing("group", name))
}

/// A guest path with `~user` replaced by that user's home, and the user it belongs to by default.
pub fn locate(root: &Root, path: &str) -> io::Result<(String, Option<User>)> {
    let Some(rest) = path.strip_prefix('~') else {
        return Ok((path.to_owned(), None));
    };
    let (name, inner) = rest.split_once('/').unwrap_or((rest, ""));
    let user = user(root, name)?;
    let path = if inner.is_empty() {
        user.home.clone()
    } else {
        format!("{}/{inner}", user.home)
    };
    Ok((path, Some(user)))
}

fn lines(root: &Root, path: &str) -> io::Result<Vec<Vec<String>>> {
    let bytes = root.read(path, LIMIT)?.unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    Ok(text
        .lines()
        .map(|line| line.split(':').map(str::to_owned).collect())
        .collect())
}

fn missing(kind: &str, name: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::NotFound,
        format!(
            "this machine has no {kind} `{name}`: create it in an earlier step, or run this step in the stage `late`"
        ),
    )
}
