//! A program of the settings, started to be asked what it has, and by nobody's call: as calls start it, with a process of its own.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use memchr::memmem::Finder;
use writ_types::{Program, ProgramName, Secret};

use super::process::Process;
use crate::leak::LeakGuard;

/// A program that is being asked. It is ended when this is dropped.
pub struct Interview {
    process: Arc<Process>,
    finders: Arc<[Finder<'static>]>,
}

impl Interview {
    /// Starts the program, with the credential in the variable that the settings name for it.
    ///
    /// # Errors
    ///
    /// The system does not start it.
    pub fn begin(
        name: &ProgramName,
        program: &Program,
        credential: Option<&Secret<String>>,
    ) -> Result<Self, std::io::Error> {
        let finders: Arc<[_]> = credential
            .into_iter()
            .flat_map(|secret| LeakGuard::finders(secret.expose()))
            .collect();
        let process = Process::start(name, program, credential, Arc::clone(&finders));
        Ok(Self {
            process: process.map_err(std::io::Error::other)?,
            finders,
        })
    }

    /// Sends a request and waits for its answer. None if the program has ended, or does not read. What it tells on the way is dropped; what it
    /// asks comes in the place of its answer.
    pub async fn ask(&self, id: &str, message: String) -> Option<Bytes> {
        let coming = self.process.ask(id, Bytes::from(message))?;
        coming.answer().await
    }

    /// Sends a message that is not answered; whether it will be written.
    #[must_use]
    pub fn tell(&self, message: String) -> bool {
        self.process.tell(Bytes::from(message))
    }

    /// Whether the credential stands in what was said.
    #[must_use]
    pub fn is_told_in(&self, said: &[u8]) -> bool {
        LeakGuard::new(&self.finders).stands_in(said)
    }
}

impl fmt::Debug for Interview {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Interview([redacted])")
    }
}

impl Drop for Interview {
    fn drop(&mut self) {
        self.process.end();
    }
}
