//! The name of the place that keys come from, as a person is told of it.

use crate::config::KeySource;

/// The place, without anything that is a secret in a URL.
pub(super) fn of(source: &KeySource) -> String {
    match source {
        KeySource::File(path) => path.display().to_string(),
        KeySource::Url { url, .. } => url.clone(),
        KeySource::Agent { socket, .. } => format!("unix://{}", socket.display()),
    }
}
