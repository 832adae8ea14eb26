//! `[mcp]` of `writ.toml`: the programs that may be started as upstreams. An API of a project names one; what is started, and with what, stands here
//! alone.

use std::collections::BTreeMap;

use serde::Deserialize;
use writ_types::{Program, ProgramName};

use super::{ConfigError, Meaning};

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawMcp {
    program: BTreeMap<String, RawProgram>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawProgram {
    command: Vec<String>,
    directory: Option<String>,
    #[serde(default)]
    environment: BTreeMap<String, String>,
    credential: Option<String>,
}

impl Meaning<'_> {
    pub(super) fn programs(
        &self,
        raw: RawMcp,
    ) -> Result<BTreeMap<ProgramName, Program>, ConfigError> {
        let mut programs = BTreeMap::new();
        for (name, raw) in raw.program {
            let key = format!("mcp.program.{name}");
            let name = self.parse(&key, &name)?;
            let RawProgram {
                command,
                directory,
                environment,
                credential,
            } = raw;
            let program = Program::new(command, directory, environment, credential);
            let program = program.map_err(|fault| self.value(&key, &fault.to_string()))?;
            programs.insert(name, program);
        }
        Ok(programs)
    }
}
