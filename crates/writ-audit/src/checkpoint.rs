//! Checkpoints (C2SP tlog-checkpoint v1.0.0) and the proof bundle that stands on one (C2SP tlog-proof).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use writ_types::Digest;

use crate::note::{KeyName, NoteError, Signer, VerifierKey};
use crate::proof::{ProofError, verify_inclusion};

/// Why a checkpoint was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// The note that carries it.
    #[error("the checkpoint is not to be trusted: {0}")]
    Note(NoteError),
    /// The text is not origin, size and root.
    #[error("the signed text is no checkpoint: origin, size and root hash, each on a line")]
    Format,
    /// It is of another log than the key.
    #[error("the checkpoint is of another log than the key")]
    Origin,
}

/// A tree head: what a log has committed to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// The log.
    pub origin: KeyName,
    /// How many entries it covers.
    pub size: u64,
    /// The root hash over them.
    pub root: Digest,
}

impl Checkpoint {
    /// The signed note. The signer's name is the origin.
    #[must_use]
    pub fn sign(size: u64, root: &Digest, signer: &Signer) -> String {
        let origin = signer.verifier().name();
        let root = STANDARD.encode(root.as_bytes());
        signer.sign(&format!("{origin}\n{size}\n{root}\n"))
    }

    /// Verifies a signed checkpoint of the log that `key` belongs to. Extension lines are allowed and mean nothing.
    ///
    /// # Errors
    ///
    /// [`CheckpointError`]
    pub fn open(note: &[u8], key: &VerifierKey) -> Result<Self, CheckpointError> {
        let checkpoint = Self::parse(key.open(note).map_err(CheckpointError::Note)?)
            .ok_or(CheckpointError::Format)?;
        if checkpoint.origin == *key.name() {
            Ok(checkpoint)
        } else {
            Err(CheckpointError::Origin)
        }
    }

    /// Reads the text of a note that somebody else verifies; for readers that only want to know how far a log reaches.
    #[must_use]
    pub fn peek(note: &[u8]) -> Option<Self> {
        let note = std::str::from_utf8(note).ok()?;
        Self::parse(note.get(..note.rfind("\n\n")?.checked_add(1)?)?)
    }

    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.strip_suffix('\n')?.split('\n');
        let origin = lines.next()?.parse().ok()?;
        let digits = lines.next()?;
        let size: u64 = digits.parse().ok()?;
        let root = STANDARD.decode(lines.next()?).ok()?;
        let root = Digest::from_bytes(root.try_into().ok()?);
        let plain = size.to_string() == digits && lines.all(|extension| !extension.is_empty());
        plain.then_some(Self { origin, size, root })
    }
}

/// An entry's evidence that needs no log at hand: its index, its inclusion proof and the checkpoint it leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogProof {
    /// The entry's index.
    pub index: u64,
    /// From the leaf's sibling up.
    pub path: Vec<Digest>,
    /// The signed checkpoint, word for word.
    pub checkpoint: String,
}

/// Why a proof bundle does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LogProofError {
    /// The text is not a `tlog-proof`.
    #[error("not a `c2sp.org/tlog-proof@v1`")]
    Format,
    /// Its checkpoint.
    #[error(transparent)]
    Checkpoint(CheckpointError),
    /// Its path.
    #[error("the entry is not where the proof says: {0}")]
    Proof(ProofError),
}

impl LogProof {
    const FIRST_LINE: &'static str = "c2sp.org/tlog-proof@v1";

    /// The text of C2SP tlog-proof, without extra data.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = format!("{}\nindex {}\n", Self::FIRST_LINE, self.index);
        for hash in &self.path {
            text.push_str(&STANDARD.encode(hash.as_bytes()));
            text.push('\n');
        }
        text.push('\n');
        text.push_str(&self.checkpoint);
        text
    }

    /// Reads the text. Extra data is read over: it is not authenticated.
    ///
    /// # Errors
    ///
    /// [`LogProofError::Format`]
    pub fn parse(text: &str) -> Result<Self, LogProofError> {
        Self::read(text).ok_or(LogProofError::Format)
    }

    fn read(text: &str) -> Option<Self> {
        let (head, checkpoint) = text.split_once("\n\n")?;
        let mut lines = head.split('\n');
        if lines.next()? != Self::FIRST_LINE {
            return None;
        }
        let line = lines.next()?;
        let line = match line.strip_prefix("extra ") {
            Some(_) => lines.next()?,
            None => line,
        };
        let digits = line.strip_prefix("index ")?;
        let index: u64 = digits.parse().ok()?;
        let hash = |line: &str| {
            Some(Digest::from_bytes(
                STANDARD.decode(line).ok()?.try_into().ok()?,
            ))
        };
        let path = lines.map(hash).collect::<Option<Vec<_>>>()?;
        (index.to_string() == digits && path.len() <= 64).then(|| Self {
            index,
            path,
            checkpoint: checkpoint.to_owned(),
        })
    }

    /// Verifies that the entry with `leaf` is at this index of the log that `key` belongs to.
    ///
    /// # Errors
    ///
    /// [`LogProofError`]
    pub fn verify(&self, leaf: &Digest, key: &VerifierKey) -> Result<Checkpoint, LogProofError> {
        let checkpoint =
            Checkpoint::open(self.checkpoint.as_bytes(), key).map_err(LogProofError::Checkpoint)?;
        verify_inclusion(
            self.index,
            checkpoint.size,
            leaf,
            &self.path,
            &checkpoint.root,
        )
        .map_err(LogProofError::Proof)?;
        Ok(checkpoint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::leaf_hash;
    use writ_types::Secret;

    fn signer() -> Signer {
        Signer::new(
            "writ.example/default/one".parse().unwrap(),
            &Secret::new([7; 32]),
        )
        .unwrap()
    }

    #[test]
    fn a_checkpoint_opens_with_its_key_and_with_no_other() {
        let root = Digest::of(b"root");
        let note = Checkpoint::sign(17, &root, &signer());
        let key = signer().verifier().clone();
        let opened = Checkpoint::open(note.as_bytes(), &key).unwrap();
        assert_eq!((opened.size, opened.root), (17, root));
        assert_eq!(Checkpoint::peek(note.as_bytes()), Some(opened));
        let other = Signer::new(key.name().clone(), &Secret::new([8; 32])).unwrap();
        assert_eq!(
            Checkpoint::open(note.as_bytes(), other.verifier()),
            Err(CheckpointError::Note(NoteError::Unsigned))
        );
        for at in 0..note.len() {
            let mut bytes = note.clone().into_bytes();
            bytes[at] ^= 1;
            assert!(Checkpoint::open(&bytes, &key).is_err(), "byte {at}");
        }
    }

    #[test]
    fn what_is_no_checkpoint_is_refused_though_it_is_signed() {
        let signer = signer();
        let root = STANDARD.encode([1; 32]);
        let origin = signer.verifier().name();
        for (text, error) in [
            (format!("{origin}\n017\n{root}\n"), CheckpointError::Format),
            (format!("{origin}\n+17\n{root}\n"), CheckpointError::Format),
            (
                format!("{origin}\n17\n{}\n", STANDARD.encode([1; 31])),
                CheckpointError::Format,
            ),
            (format!("{origin}\n17\n"), CheckpointError::Format),
            (
                format!("{origin}\n17\n{root}\n\nextension\n"),
                CheckpointError::Format,
            ),
            (
                format!("writ.example/other\n17\n{root}\n"),
                CheckpointError::Origin,
            ),
        ] {
            let note = signer.sign(&text);
            assert_eq!(
                Checkpoint::open(note.as_bytes(), signer.verifier()),
                Err(error),
                "{text}"
            );
        }
        let extended = signer.sign(&format!("{origin}\n17\n{root}\nextension\n"));
        assert!(Checkpoint::open(extended.as_bytes(), signer.verifier()).is_ok());
    }

    #[test]
    fn a_proof_bundle_reads_back_and_holds_for_its_entry_only() {
        let (one, two) = (leaf_hash(b"one"), leaf_hash(b"two"));
        let root = crate::hash::node_hash(&one, &two);
        let proof = LogProof {
            index: 1,
            path: vec![one],
            checkpoint: Checkpoint::sign(2, &root, &signer()),
        };
        let text = proof.to_text();
        assert_eq!(LogProof::parse(&text), Ok(proof.clone()));
        let extra = text.replace("v1\nindex", "v1\nextra AAAA\nindex");
        assert_eq!(LogProof::parse(&extra), Ok(proof.clone()));
        let key = signer().verifier().clone();
        assert_eq!(
            proof.verify(&two, &key).map(|checkpoint| checkpoint.size),
            Ok(2)
        );
        assert_eq!(
            proof.verify(&one, &key),
            Err(LogProofError::Proof(ProofError::Root))
        );
        for bad in [
            text.replace("@v1", "@v2"),
            text.replace("index 1", "index 01"),
            text.replace("index 1", "index -1"),
            text.replace("\n\n", "\n"),
        ] {
            assert!(
                LogProof::parse(&bad).is_err() || bad.matches("\n\n").count() == 1,
                "{bad}"
            );
        }
    }
}
