//! `writ api reviews`: what waits for an API's owner, the most called first.

use std::path::Path;

use writ_types::Value;

use crate::config::Config;
use crate::failure::Failure;
use crate::operator::OperatorClient;
use crate::rows::{shown, text};
use crate::terminal::Terminal;

pub(super) async fn run(
    terminal: Terminal,
    config: &Path,
    api: Option<&str>,
) -> Result<(), Failure> {
    let path = match api {
        None => "/v1/reviews".to_owned(),
        Some(api) => {
            let api: writ_types::ApiId = api
                .parse()
                .map_err(|fault: writ_types::NameError| Failure::usage(fault.to_string()))?;
            format!("/v1/reviews?api={api}")
        }
    };
    let queue = OperatorClient::of(&Config::load(config)?)?
        .get(&path)
        .await?;
    if terminal.is_json() {
        terminal.object(&queue);
        return Ok(());
    }
    let operations = queue.member("operations").and_then(Value::as_array);
    let operations = operations.unwrap_or_default();
    if operations.is_empty() {
        terminal.line("nothing waits for review");
        return Ok(());
    }
    let row = |row: &Value| {
        [
            shown(row, "sent"),
            shown(row, "refused"),
            text(row, "action"),
            text(row, "counts_as"),
            text(row, "grade"),
            text(row, "fix"),
        ]
    };
    let rows: Vec<[String; 6]> = operations.iter().map(row).collect();
    let head = ["SENT", "REFUSED", "ACTION", "COUNTS AS", "GRADE", "FIX"];
    terminal.table(head, &rows);
    let number = |name| queue.member(name).and_then(Value::as_u64).unwrap_or(0);
    match number("more") {
        0 => {}
        more => terminal.line(&format!("and {more} more, which are called less")),
    }
    match number("records_before") {
        0 => {}
        before => terminal.line(&format!(
            "counted in the newest {} records; {before} older ones were not looked at",
            number("records_looked_at")
        )),
    }
    Ok(())
}
