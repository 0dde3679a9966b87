//! A launch request on the command line: by flags, or from a file.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};

use super::Failure;

/// A launch request, by flags or from a file.
#[derive(Args)]
pub struct Request {
    /// The request as JSON; `-` reads standard input. Flags win over it.
    #[arg(short, long)]
    file: Option<PathBuf>,
    #[arg(long)]
    instance: Option<String>,
    /// NAME=VALUE; several times for several.
    #[arg(long = "attribute", value_parser = pair)]
    attributes: Vec<(String, String)>,
    /// The machine's DMI product UUID; the agent then refuses any other machine.
    #[arg(long)]
    product_uuid: Option<String>,
    /// `name` or `name@version`.
    #[arg(long)]
    profile: Option<String>,
    #[arg(long)]
    volume: Option<String>,
    /// Of the volume: `40GiB`. Absent: the base's own.
    #[arg(long)]
    size: Option<String>,
    /// A sink of the operator's. Absent: the volume is read by `launch fetch`.
    #[arg(long, requires = "target")]
    sink: Option<String>,
    /// The file or device in the sink.
    #[arg(long = "as", id = "target")]
    target: Option<String>,
    /// NAME=VALUE; several times for several.
    #[arg(long = "label", value_parser = pair)]
    labels: Vec<(String, String)>,
    /// Seconds.
    #[arg(long)]
    deadline: Option<u64>,
}

// === impl Request ===

impl Request {
    /// The body to send.
    pub fn read(self) -> Result<Value, Failure> {
        let mut body = match &self.file {
            None => json!({"instance": {}}),
            Some(path) => {
                let text = if path == Path::new("-") {
                    let mut text = String::new();
                    std::io::stdin()
                        .take(4 << 20)
                        .read_to_string(&mut text)
                        .map(|_| text)
                } else {
                    std::fs::read_to_string(path)
                };
                let text = text.map_err(|error| {
                    Failure::usage(format!("cannot read `{}`: {error}", path.display()))
                })?;
                serde_json::from_str(&text).map_err(|error| {
                    Failure::usage(format!("`{}` is not JSON: {error}", path.display()))
                })?
            }
        };
        let mut set = |pointer: &[&str], value: Option<Value>| {
            let Some(value) = value else { return };
            let mut place = &mut body;
            for key in pointer {
                place = &mut place[*key];
            }
            *place = value;
        };
        set(&["instance", "id"], self.instance.map(Value::from));
        set(
            &["instance", "product_uuid"],
            self.product_uuid.map(Value::from),
        );
        for (name, value) in self.attributes {
            set(&["instance", "attributes", &name], Some(value.into()));
        }
        set(&["profile"], self.profile.map(Value::from));
        set(&["volume"], self.volume.map(Value::from));
        set(&["size"], self.size.map(Value::from));
        set(&["sink", "name"], self.sink.map(Value::from));
        set(&["sink", "as"], self.target.map(Value::from));
        for (name, value) in self.labels {
            set(&["labels", &name], Some(value.into()));
        }
        set(&["deadline_seconds"], self.deadline.map(Value::from));
        Ok(body)
    }
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text
        .split_once('=')
        .ok_or_else(|| format!("`{text}` is not NAME=VALUE"))?;
    Ok((name.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_make_the_request_of_the_design() {
        let request = Request {
            file: None,
            instance: Some("i-0042".into()),
            attributes: vec![("owner".into(), "ada".into())],
            product_uuid: None,
            profile: Some("web-developer@3".into()),
            volume: Some("debian-12".into()),
            size: Some("40GiB".into()),
            sink: Some("disks".into()),
            target: Some("i-0042.raw".into()),
            labels: vec![("team".into(), "web".into())],
            deadline: None,
        };
        let expected = json!({
            "instance": {"id": "i-0042", "attributes": {"owner": "ada"}}, "profile": "web-developer@3", "volume": "debian-12",
            "size": "40GiB", "sink": {"name": "disks", "as": "i-0042.raw"}, "labels": {"team": "web"}
        });
        assert_eq!(request.read().unwrap(), expected);
    }
}
