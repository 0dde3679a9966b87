//! Paths in the guest: `/etc/motd`, or `~ada/notes` below a user's home. The host checks again; this is for good messages early.

/// Longest path, in bytes.
pub const MAX_PATH: usize = 4096;

/// Says what is wrong with a path in the guest.
pub fn check_path(text: &str) -> Result<(), &'static str> {
    if text.len() > MAX_PATH {
        return Err("it is longer than 4096 bytes");
    }
    let below = match text.strip_prefix('~') {
        Some(home) => {
            let (user, below) = home
                .split_once('/')
                .ok_or("a path in a home is `~user/…`")?;
            check_user(user)?;
            below
        }
        None => text
            .strip_prefix('/')
            .ok_or("it begins with neither `/` nor `~user/`")?,
    };
    check_segments(below)
}

/// Says what is wrong with a path below something else.
pub fn check_relative(text: &str) -> Result<(), &'static str> {
    if text.starts_with(['/', '~']) {
        return Err("it begins with `/` or `~`");
    }
    check_segments(text)
}

/// Says what is wrong with the name of a user or group.
pub fn check_user(name: &str) -> Result<(), &'static str> {
    let body = name.strip_suffix('$').unwrap_or(name);
    let first = body.bytes().next();
    let fits = (1..=32).contains(&name.len())
        && first.is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && body
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'));
    if fits {
        Ok(())
    } else {
        Err(
            "a user's or group's name has 1 to 32 letters, digits, `_`, `-` and `.`, and begins with a letter, a digit or `_`",
        )
    }
}

/// Says what is wrong with the name of a systemd unit.
pub fn check_unit(name: &str) -> Result<(), &'static str> {
    let kind = name.rsplit_once('.').map(|(_, kind)| kind);
    let known = matches!(
        kind,
        Some("service" | "socket" | "timer" | "path" | "mount" | "automount" | "target" | "slice")
    );
    let clean = name.len() <= 255
        && !name.starts_with(['-', '.', '@'])
        && name.bytes().all(|byte| {
            byte.is_ascii_alphanumeric() || matches!(byte, b':' | b'_' | b'.' | b'-' | b'\\' | b'@')
        });
    if known && clean {
        Ok(())
    } else {
        Err("a unit's name is like `nginx.service`")
    }
}

/// The text of a symbolic link at `link` that leads to `to`. An absolute `to` becomes relative: links in an archive stay inside its root.
pub fn link_target(link: &str, to: &str) -> Result<String, &'static str> {
    if to.is_empty() || to.len() >= MAX_PATH {
        return Err("a link's target has 1 to 4095 bytes");
    }
    if to.chars().any(char::is_control) {
        return Err("it holds a control character");
    }
    if to.starts_with('~') {
        return Err("a link cannot lead to `~user/…`: where that is, only the guest knows");
    }
    let in_home = link.starts_with('~');
    let below = if in_home {
        link.split_once('/').map_or("", |(_, below)| below)
    } else {
        &link[1..]
    };
    let depth = below.split('/').count() - 1;
    if let Some(absolute) = to.strip_prefix('/') {
        if in_home {
            return Err("a link in a home leads to a relative place");
        }
        check_segments(absolute)?;
        return Ok(format!("{}{absolute}", "../".repeat(depth)));
    }
    let mut at = depth;
    for segment in to.split('/') {
        match segment {
            "" | "." => {}
            ".." => at = at.checked_sub(1).ok_or("it leads out of its root")?,
            _ => at += 1,
        }
    }
    Ok(to.to_owned())
}

fn check_segments(below: &str) -> Result<(), &'static str> {
    for segment in below.split('/') {
        if segment.is_empty() {
            return Err("it has an empty segment (`//`, or a `/` at its end)");
        }
        if segment == "." || segment == ".." {
            return Err("it has a `.` or `..` segment");
        }
        if segment.len() > 255 {
            return Err("a segment is longer than 255 bytes");
        }
        if segment.chars().any(char::is_control) {
            return Err("it holds a control character");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_outside_its_normal_form_is_refused() {
        for good in ["/etc/motd", "~ada/Documents/plan.txt", "/a b/ü"] {
            assert_eq!(check_path(good), Ok(()), "{good}");
        }
        for bad in [
            "",
            "/",
            "etc/motd",
            "/etc/",
            "/etc//x",
            "/../x",
            "~",
            "~/x",
            "~ada",
            "~ada/",
            "~ada/../bob",
            "/a\0b",
            "/a\nb",
        ] {
            assert!(check_path(bad).is_err(), "{bad:?}");
        }
        assert!(check_path(&format!("/{}", "x".repeat(256))).is_err());
        assert!(check_relative("Documents/x").is_ok());
        assert!(check_relative("../x").is_err());
    }

    #[test]
    fn an_absolute_link_is_written_relative() {
        assert_eq!(
            link_target("/etc/localtime", "/usr/share/zoneinfo/UTC").unwrap(),
            "../usr/share/zoneinfo/UTC"
        );
        assert_eq!(link_target("/x", "/usr/bin/x").unwrap(), "usr/bin/x");
        assert_eq!(link_target("~ada/bin/x", "../src/x").unwrap(), "../src/x");
    }

    #[test]
    fn a_link_that_leaves_its_root_is_refused() {
        for (link, to) in [
            ("/etc/x", "../../x"),
            ("~ada/x", "/etc/shadow"),
            ("~ada/x", "../bob"),
            ("/x", ""),
            ("/x", "~ada/y"),
            ("/x", "/a/../b"),
        ] {
            assert!(link_target(link, to).is_err(), "{link} -> {to}");
        }
    }

    #[test]
    fn a_unit_without_its_kind_is_refused() {
        assert!(check_unit("getty@tty1.service").is_ok());
        for bad in [
            "nginx",
            "../x.service",
            "-x.service",
            "a b.service",
            "x.conf",
        ] {
            assert!(check_unit(bad).is_err(), "{bad}");
        }
    }
}
